"""Depth estimation for zoo."""
