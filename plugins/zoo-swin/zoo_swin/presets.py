"""The weights that the authors published, on the Hub. Torch-free."""

from __future__ import annotations

from typing import Any

from zoo.spec import PresetSpec

__all__ = ["PRESETS"]

_SIZES: dict[str, dict[str, Any]] = {
    "tiny": {"embed_dim": 96, "depths": [2, 2, 6, 2], "num_heads": [3, 6, 12, 24]},
    "small": {"embed_dim": 96, "depths": [2, 2, 18, 2], "num_heads": [3, 6, 12, 24]},
    "base": {"embed_dim": 128, "depths": [2, 2, 18, 2], "num_heads": [4, 8, 16, 32]},
    "large": {"embed_dim": 192, "depths": [2, 2, 18, 2], "num_heads": [6, 12, 24, 48]},
}

_IMAGENET_1K, _IMAGENET_22K = 1000, 21841


def _preset(
    architecture: str, size: str, window: int, image: int, trained: str, *, pretrained: tuple[int, ...] = ()
) -> PresetSpec:
    """trained: how the name goes on. pretrained: the windows of each stage before larger ones, for Swin V2."""
    windows, images = (f"12to{window}", f"192to{image}") if pretrained else (str(window), str(image))
    name = f"{architecture}-{size}-patch4-window{windows}-{images}{trained}"
    only_22k = trained in ("-in22k", "-22k")
    config = {
        "architectures": ["Swinv2ForImageClassification" if architecture == "swinv2" else "SwinForImageClassification"],
        "image_size": image,
        "model_type": architecture,
        "num_labels": _IMAGENET_22K if only_22k else _IMAGENET_1K,
        "patch_size": 4,
        "window_size": window,
        **_SIZES[size],
    }
    if pretrained:
        config["pretrained_window_sizes"] = list(pretrained)
    return PresetSpec(
        name=name,
        architecture=architecture,
        task="zoo-sdk:image-classification",
        sources=(f"hf://microsoft/{name}",),
        config=config,
        licence="apache-2.0",
        summary=f"Swin{' V2' if architecture == 'swinv2' else ''} {size} for images of {image} x {image}, trained on "
        f"ImageNet-{'22k' if only_22k else '1k, after 22k' if '22k' in trained or size == 'large' else '1k'}",
    )


_TRAINED_WITH = (12, 12, 12, 6)

PRESETS = [
    *(_preset("swin", size, 7, 224, "") for size in _SIZES),
    *(_preset("swin", size, 12, 384, "") for size in ("base", "large")),
    *(_preset("swin", size, 7, 224, "-in22k") for size in ("base", "large")),
    *(_preset("swin", size, 12, 384, "-in22k") for size in ("base", "large")),
    *(_preset("swinv2", size, window, 256, "") for size in ("tiny", "small", "base") for window in (8, 16)),
    *(_preset("swinv2", size, 12, 192, "-22k") for size in ("base", "large")),
    *(
        _preset("swinv2", size, window, image, "-22kto1k-ft", pretrained=_TRAINED_WITH)
        for size in ("base", "large")
        for window, image in ((16, 256), (24, 384))
    ),
]
"""All sizes, windows and image sizes of both papers, under the names that they have on the Hub."""
