"""The weights that the authors published, on the Hub. Torch-free."""

from __future__ import annotations

from typing import Any

from zoo.spec import PresetSpec

__all__ = ["PRESETS"]

_TASK = "zoo-sdk:image-classification"
_LABELS = 1000
"""ImageNet-1k's."""

_SIZES: dict[str, dict[str, int]] = {
    "tiny": {"hidden_size": 192, "num_attention_heads": 3, "num_hidden_layers": 12},
    "small": {"hidden_size": 384, "num_attention_heads": 6, "num_hidden_layers": 12},
    "base": {"hidden_size": 768, "num_attention_heads": 12, "num_hidden_layers": 12},
    "large": {"hidden_size": 1024, "num_attention_heads": 16, "num_hidden_layers": 24},
    "huge": {"hidden_size": 1280, "num_attention_heads": 16, "num_hidden_layers": 32},
    "giant": {"hidden_size": 1536, "num_attention_heads": 24, "num_hidden_layers": 40},
}


def _vit(size: str, patch: int, image: int, *, pretrained: bool = False) -> PresetSpec:
    """pretrained: on ImageNet-21k alone, which the Hub has without its classifier."""
    name = f"vit-{size}-patch{patch}-{image}{'-in21k' if pretrained else ''}"
    trained = "ImageNet-21k, without a head" if pretrained else "ImageNet-1k, after 21k"
    return PresetSpec(
        name=name,
        architecture="vit",
        task=None if pretrained else _TASK,
        sources=(f"hf://google/{name}",),
        config=_config("ViTModel" if pretrained else "ViTForImageClassification", "vit", size, patch, image),
        licence="apache-2.0",
        summary=f"ViT {size} for images of {image} x {image} in patches of {patch}, trained on {trained}",
    )


def _deit(size: str, image: int, *, distilled: bool = False) -> PresetSpec:
    """distilled: with the token for it; a DeiT without it is a ViT, and is one on the Hub."""
    name = f"deit-{size}{'-distilled' if distilled else ''}-patch16-{image}"
    kind = "deit" if distilled else "vit"
    class_name = "DeiTForImageClassificationWithTeacher" if distilled else "ViTForImageClassification"
    return PresetSpec(
        name=name,
        architecture=kind,
        task=_TASK,
        sources=(f"hf://facebook/{name}",),
        config=_config(class_name, kind, size, 16, image),
        licence="apache-2.0",
        summary=f"DeiT {size} for images of {image} x {image}, trained on ImageNet-1k"
        f"{' with a teacher' if distilled else ''}",
    )


def _dinov2(size: str, *, registers: bool, classifier: bool) -> PresetSpec:
    """classifier: with the linear one of the paper, for ImageNet-1k."""
    name = f"dinov2{'-with-registers' if registers else ''}-{size}{'-imagenet1k-1-layer' if classifier else ''}"
    kind = "dinov2_with_registers" if registers else "dinov2"
    class_name = f"Dinov2{'WithRegisters' if registers else ''}{'ForImageClassification' if classifier else 'Model'}"
    config = _config(class_name, kind, size, 14, 518)
    config |= {"layer_norm_eps": 1e-6, "mlp_ratio": 4, "use_swiglu_ffn": size == "giant"}
    del config["intermediate_size"]
    if registers:
        config["num_register_tokens"] = 4
    return PresetSpec(
        name=name,
        architecture="dinov2",
        task=_TASK if classifier else None,
        sources=(f"hf://facebook/{name}",),
        config=config,
        licence="apache-2.0",
        default=name == "dinov2-small-imagenet1k-1-layer",  # what `dinov2` means for classification
        summary=f"DINOv2 {size}{' with registers' if registers else ''}"
        f"{', with a linear classifier for ImageNet-1k' if classifier else ', without a head'}",
    )


def _config(class_name: str, model_type: str, size: str, patch: int, image: int) -> dict[str, Any]:
    config: dict[str, Any] = {
        "architectures": [class_name],
        "image_size": image,
        "intermediate_size": 4 * _SIZES[size]["hidden_size"],
        "layer_norm_eps": 1e-12,
        "model_type": model_type,
        "patch_size": patch,
        **_SIZES[size],
    }
    if not class_name.endswith("Model"):
        config["num_labels"] = _LABELS
    return config


PRESETS = [
    *(_vit(size, 16, image) for size in ("base", "large") for image in (224, 384)),
    *(_vit(size, 32, 384) for size in ("base", "large")),
    *(_vit(size, patch, 224, pretrained=True) for size in ("base", "large") for patch in (16, 32)),
    _vit("huge", 14, 224, pretrained=True),
    *(_deit(size, 224, distilled=distilled) for size in ("tiny", "small", "base") for distilled in (False, True)),
    *(_deit("base", 384, distilled=distilled) for distilled in (False, True)),
    *(
        _dinov2(size, registers=registers, classifier=classifier)
        for registers in (False, True)
        for size in ("small", "base", "large", "giant")
        for classifier in (False, True)
    ),
]
"""The sizes, patches and image sizes of the papers that were published, under the names that they have on the Hub."""
