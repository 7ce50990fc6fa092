"""Tinynet for zoo. Import from the modules: this is imported by listing, so it is empty."""
