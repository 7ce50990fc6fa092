"""Swin for zoo: both versions of the architecture, their layouts on disk, and presets. Import from the modules."""
