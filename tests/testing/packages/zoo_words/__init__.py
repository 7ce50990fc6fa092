"""A plugin that keeps every promise: a decoder for texts, small enough to be wronged line by line."""
