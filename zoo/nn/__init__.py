"""What architectures share: attention, norms, rotary embedding. Import from the modules."""
