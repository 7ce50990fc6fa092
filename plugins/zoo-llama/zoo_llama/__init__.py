"""Llama for zoo: the architecture, its layouts on disk, and presets. Import from the modules."""
