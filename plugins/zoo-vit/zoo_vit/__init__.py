"""Vision transformers for zoo: ViT, DeiT, DINOv2, their layouts, a neck and presets. Import from the modules."""
