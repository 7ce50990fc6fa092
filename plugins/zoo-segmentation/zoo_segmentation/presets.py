"""The weights of UperNet with Swin that OpenMMLab trained, on the Hub. Torch-free."""

from __future__ import annotations

from typing import Any

from zoo.spec import PresetSpec

__all__ = ["PRESETS"]

ADE20K = 150
"""How many labels the dataset has."""

_SIZES: dict[str, dict[str, Any]] = {
    "tiny": {"embed_dim": 96, "depths": [2, 2, 6, 2], "num_heads": [3, 6, 12, 24], "window_size": 7},
    "small": {"embed_dim": 96, "depths": [2, 2, 18, 2], "num_heads": [3, 6, 12, 24], "window_size": 7},
    "base": {"embed_dim": 128, "depths": [2, 2, 18, 2], "num_heads": [4, 8, 16, 32], "window_size": 12},
    "large": {"embed_dim": 192, "depths": [2, 2, 18, 2], "num_heads": [6, 12, 24, 48], "window_size": 12},
}


def _preset(size: str) -> PresetSpec:
    name = f"upernet-swin-{size}"
    backbone = _SIZES[size]
    return PresetSpec(
        name=name,
        architecture="zoo-swin:swin",
        task="zoo-segmentation:image-segmentation",
        default=size == "tiny",
        sources=(f"hf://openmmlab/{name}",),
        config={
            "architectures": ["UperNetForSemanticSegmentation"],
            "auxiliary_in_channels": 4 * backbone["embed_dim"],
            "backbone_config": {
                "model_type": "swin",
                "out_features": ["stage1", "stage2", "stage3", "stage4"],
                **backbone,
            },
            "hidden_size": 512,
            "model_type": "upernet",
            "num_labels": ADE20K,
        },
        licence="mit",
        summary=f"UperNet with Swin {size}, trained on ADE20K",
    )


PRESETS = [_preset(size) for size in _SIZES]
"""All four sizes."""
