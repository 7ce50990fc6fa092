"""ConvNeXt for zoo."""
