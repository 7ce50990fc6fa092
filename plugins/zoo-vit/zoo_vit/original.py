"""ViT, DeiT and DINOv2 in the authors' names, which are timm's too. They come with no configuration of the Hub's: it is
read off the tensors. Torch-free.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from zoo.checkpoint import TensorRecord
from zoo.errors import ConfigError
from zoo.interfaces import LayoutConfigs, ModelMetadata
from zoo.tasks.head_configs import ImageClassifierConfig
from zoo_vit.config import DeiTConfig, Dinov2Config, Transformer, ViTConfig

__all__ = ["Original", "read_original"]

_BLOCK = re.compile(r"blocks\.([0-9]+)\.norm1\.weight")

_HEADS = {192: 3, 384: 6, 768: 12, 1024: 16, 1280: 16, 1536: 24}
"""hidden_size -> heads of every published size; no tensor tells."""


@dataclass(frozen=True)
class Original:
    """Which files are meant: of an architecture, with a classifier or without."""

    architecture: str
    classifier: bool

    def matches(self, metadata: ModelMetadata) -> bool:
        """Whether a checkpoint is of this kind. A file that says what the Hub calls it is not, nor is one whose tokens
        are averaged before the classifier.
        """
        tensors = metadata.tensors
        if metadata.config.get("model_type") is not None or "fc_norm.weight" in tensors:
            return False
        if any(name not in tensors for name in ("cls_token", "pos_embed", "patch_embed.proj.weight")):
            return False
        return _architecture(tensors) == self.architecture and ("head.weight" in tensors) == self.classifier


VIT_CLASSIFIER = Original("vit", classifier=True)
VIT_BACKBONE = Original("vit", classifier=False)
DEIT_CLASSIFIER = Original("deit", classifier=True)
DEIT_BACKBONE = Original("deit", classifier=False)
DINOV2_BACKBONE = Original("dinov2", classifier=False)


def read_original(metadata: ModelMetadata) -> LayoutConfigs:
    """The configurations that the tensors tell. Raises ConfigError for what they don't."""
    tensors = metadata.tensors
    architecture = _architecture(tensors)
    d, channels, patch, _ = _shape(metadata, "patch_embed.proj.weight", 4)
    hidden = _shape(metadata, f"blocks.0.mlp.{'w3' if _gated_by_name(tensors) else 'fc2'}.weight", 2)[1]
    fields: dict[str, Any] = {
        "hidden_size": d,
        "num_channels": channels,
        "patch_size": patch,
        "num_attention_heads": _heads(metadata, d),
        "num_hidden_layers": _layers(metadata),
        "qkv_bias": "blocks.0.attn.qkv.bias" in tensors,
        "layer_norm_eps": 1e-6,
    }
    if architecture == "dinov2":
        return LayoutConfigs(architecture=_dinov2(metadata, fields, hidden))
    prefix = 2 if architecture == "deit" else 1
    fields |= {"image_size": _image_size(metadata, patch, prefix), "intermediate_size": hidden}
    config = DeiTConfig(**fields) if architecture == "deit" else ViTConfig(**fields)
    return LayoutConfigs(architecture=config, head=_classifier(metadata, config))


def _dinov2(metadata: ModelMetadata, fields: dict[str, Any], hidden: int) -> Dinov2Config:
    tensors = metadata.tensors
    registers = _shape(metadata, "register_tokens", 3)[1] if "register_tokens" in tensors else 0
    gated = _gated_by_name(tensors) or _shape(metadata, "blocks.0.mlp.fc1.weight", 2)[0] == 2 * hidden
    config = Dinov2Config(
        **fields,
        image_size=_image_size(metadata, fields["patch_size"], 1),
        mlp_ratio=4 if gated else hidden / max(fields["hidden_size"], 1),
        use_swiglu_ffn=gated,
        use_mask_token="mask_token" in tensors,
        num_register_tokens=registers,
        model_type="dinov2_with_registers" if registers else "dinov2",
    )
    if config.mlp_channels != hidden:
        raise ConfigError(
            f"{metadata.location}: the feed-forward networks have {hidden} channels inside, which no whole mlp_ratio "
            f"of hidden_size {config.hidden_size} gives."
        )
    return config


def _architecture(tensors: Mapping[str, TensorRecord]) -> str:
    if "blocks.0.ls1.gamma" in tensors:
        return "dinov2"
    return "deit" if "dist_token" in tensors else "vit"


def _gated_by_name(tensors: Mapping[str, TensorRecord]) -> bool:
    """Whether the feed-forward networks are SwiGLUs in the authors' names; in timm's only their shapes say so."""
    return "blocks.0.mlp.w12.weight" in tensors


def _heads(metadata: ModelMetadata, d: int) -> int:
    if d not in _HEADS:
        raise ConfigError(
            f"{metadata.location}: the tensors don't tell the number of heads, and no published model has a width of "
            f"{d}; there are {', '.join(map(str, _HEADS))}.",
            hint="Load it with the library that wrote it, and save it from there in the Hub's layout.",
        )
    return _HEADS[d]


def _layers(metadata: ModelMetadata) -> int:
    found = sorted(int(match[1]) for name in metadata.tensors if (match := _BLOCK.fullmatch(name)))
    if found != list(range(len(found))):
        raise ConfigError(f"{metadata.location}: there are the blocks {found}, which leave some out.")
    return len(found)


def _image_size(metadata: ModelMetadata, patch: int, prefix: int) -> int:
    positions = _shape(metadata, "pos_embed", 3)[1] - prefix
    side = math.isqrt(max(positions, 0))
    if side * side != positions:
        raise ConfigError(
            f"{metadata.location}: tensor 'pos_embed' has {positions} positions of patches, which is no square; only "
            "square images can be read off the tensors."
        )
    return side * patch


def _classifier(metadata: ModelMetadata, config: Transformer) -> ImageClassifierConfig | None:
    if "head.weight" not in metadata.tensors:
        return None
    count = _shape(metadata, "head.weight", 2)[0]
    stated = metadata.config.get("label_names")
    if isinstance(stated, list) and len(stated) == count and all(isinstance(name, str) for name in stated):
        labels = tuple(stated)
    else:
        labels = tuple(f"LABEL_{index}" for index in range(count))
    return ImageClassifierConfig(labels=labels, initializer_range=config.initializer_range)


def _shape(metadata: ModelMetadata, name: str, rank: int) -> tuple[int, ...]:
    """The shape of a tensor that has to be there, with at least so many dimensions."""
    record = metadata.tensors.get(name)
    if record is None or len(record.shape) < rank:
        found = "it is not there" if record is None else f"it has the shape {list(record.shape)}"
        raise ConfigError(
            f"{metadata.location}: the configuration is read off the tensor '{name}', "
            f"which has to have {rank} dimensions; {found}."
        )
    return record.shape
