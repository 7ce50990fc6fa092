"""Swin and Swin V2 keep what every architecture promises."""

from __future__ import annotations

from zoo.testing import ArchitectureConformance

TINY = {
    "embed_dim": 8,
    "depths": (2, 1),
    "num_heads": (1, 2),
    "image_size": 32,
    "window_size": 3,
}
CAPABILITIES = {"attention_backends", "compile", "export", "gradient_checkpointing"}


class TestSwin(ArchitectureConformance):
    architecture = "swin"
    tiny = TINY
    reference = "transformers:SwinModel"
    capabilities = CAPABILITIES


class TestSwinV2(ArchitectureConformance):
    architecture = "swinv2"
    tiny = TINY | {"pretrained_window_sizes": (2, 0)}
    reference = "transformers:Swinv2Model"
    capabilities = CAPABILITIES
