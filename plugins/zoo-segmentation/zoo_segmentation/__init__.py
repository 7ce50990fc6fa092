"""Semantic segmentation for zoo: heads on feature maps, their losses and metrics, and the pipeline. Import from the
modules.
"""
