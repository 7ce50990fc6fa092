"""What the Hub's classes call ConvNeXt's tensors."""

from __future__ import annotations

from zoo.weights.key_map import KeyMap, Rule

__all__ = ["BACKBONE", "CLASSIFIER"]


def _both(stored: str, model: str) -> list[Rule]:
    return [Rule(f"{stored}.{kind}", f"{model}.{kind}") for kind in ("weight", "bias")]


_STAGE, _BLOCK = "encoder.stages.{s}", "stages.{s}.blocks.{i}"

_NAMES = KeyMap(
    (
        *_both("embeddings.patch_embeddings", "patches"),
        *_both("embeddings.layernorm", "patch_norm"),
        *_both(f"{_STAGE}.downsampling_layer.0", "stages.{s}.downsample.0"),
        *_both(f"{_STAGE}.downsampling_layer.1", "stages.{s}.downsample.1"),
        *_both(f"{_STAGE}.layers.{{i}}.dwconv", f"{_BLOCK}.depthwise"),
        *_both(f"{_STAGE}.layers.{{i}}.layernorm", f"{_BLOCK}.norm"),
        *_both(f"{_STAGE}.layers.{{i}}.pwconv1", f"{_BLOCK}.expand"),
        *_both(f"{_STAGE}.layers.{{i}}.pwconv2", f"{_BLOCK}.project"),
        Rule(f"{_STAGE}.layers.{{i}}.layer_scale_parameter", f"{_BLOCK}.scale"),
        *_both("layernorm", "norm"),
    )
)

BACKBONE = _NAMES.prefixed(model="backbone.")
"""ConvNextModel."""

CLASSIFIER = _NAMES.prefixed(stored="convnext.", model="backbone.") + KeyMap(tuple(_both("classifier", "head")))
"""ConvNextForImageClassification."""
