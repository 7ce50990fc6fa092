"""From stored tensors to a model's parameters and back: key maps, mapping of files, assignment. Import from the
modules.
"""
