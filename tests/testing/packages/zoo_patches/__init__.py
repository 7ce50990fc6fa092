"""A plugin that keeps every promise: a backbone for images and a head, small enough to be wronged line by line."""
