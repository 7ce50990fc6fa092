"""Preprocessors: raw inputs to model inputs, and outputs back. Plugins configure these rather than write their own."""

from zoo.preprocess.text import TextItem, TextPreprocessor

__all__ = ["TextItem", "TextPreprocessor"]
