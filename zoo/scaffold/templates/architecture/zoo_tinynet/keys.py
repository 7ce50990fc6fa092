"""What Tinynet's tensors are called on disk, and which parameter each is: whole names, both ways, each exactly once.

A file that others wrote in other names gets a key map of its own.
"""

from __future__ import annotations

from zoo.weights.key_map import KeyMap, Rule

__all__ = ["BACKBONE", "CLASSIFIER"]

_BLOCK = "stages.{s}.blocks.{i}"


def _both(stored: str, model: str) -> list[Rule]:
    """The rules of a weight and its bias."""
    return [Rule(f"{stored}.{kind}", f"{model}.{kind}") for kind in ("weight", "bias")]


_NAMES = KeyMap(
    (
        *_both("stages.{s}.downsample", "stages.{s}.downsample"),
        *_both(f"{_BLOCK}.dwconv", f"{_BLOCK}.depthwise"),
        *_both(f"{_BLOCK}.norm", f"{_BLOCK}.norm"),
        *_both(f"{_BLOCK}.fc1", f"{_BLOCK}.expand"),
        *_both(f"{_BLOCK}.fc2", f"{_BLOCK}.project"),
        *_both("norm", "norm"),
    )
)

BACKBONE = _NAMES.prefixed(model="backbone.")
"""The backbone alone."""

CLASSIFIER = _NAMES.prefixed(stored="tinynet.", model="backbone.") + KeyMap(tuple(_both("classifier", "head")))
"""The backbone with a classifier."""
