"""Swin in the authors' names or in timm's, which come with no configuration of the Hub's: it is read off the tensors.
Torch-free.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from zoo.checkpoint import DType, TensorRecord, read_bytes
from zoo.errors import ConfigError
from zoo.interfaces import LayoutConfigs, ModelMetadata
from zoo.tasks.head_configs import ImageClassifierConfig
from zoo_swin.config import SwinConfig, SwinV2Config, Transformer

__all__ = ["Original", "read_swin", "read_swinv2"]

_FIRST = "layers.0.blocks.0.attn"
_BLOCK = re.compile(r"layers\.([0-9]+)\.blocks\.([0-9]+)\.norm1\.weight")
_NAME = re.compile(r"window(?P<window>[0-9]+)(to(?P<larger>[0-9]+))?_(?P<image>[0-9]+)(to(?P<wider>[0-9]+))?")
"""Of timm's names of V2: swinv2_base_window12to16_192to256."""


@dataclass(frozen=True)
class Original:
    """Which files are meant: of one version, in one dialect, with a classifier or without."""

    version: int
    timm: bool
    classifier: bool

    def matches(self, metadata: ModelMetadata) -> bool:
        """Whether a checkpoint is of this kind. A file that says what the Hub calls it is not."""
        tensors = metadata.tensors
        if metadata.config.get("model_type") is not None or "patch_embed.proj.weight" not in tensors:
            return False
        known_by = "relative_position_bias_table" if self.version == 1 else "cpb_mlp.0.weight"
        if f"{_FIRST}.{known_by}" not in tensors:
            return False
        classifier = "head.fc.weight" in tensors or "head.weight" in tensors
        return classifier == self.classifier and _is_timm(tensors) == self.timm


SWIN_MICROSOFT_CLASSIFIER = Original(version=1, timm=False, classifier=True)
SWIN_MICROSOFT_BACKBONE = Original(version=1, timm=False, classifier=False)
SWIN_TIMM_CLASSIFIER = Original(version=1, timm=True, classifier=True)
SWIN_TIMM_BACKBONE = Original(version=1, timm=True, classifier=False)
SWINV2_MICROSOFT_CLASSIFIER = Original(version=2, timm=False, classifier=True)
SWINV2_MICROSOFT_BACKBONE = Original(version=2, timm=False, classifier=False)
SWINV2_TIMM_CLASSIFIER = Original(version=2, timm=True, classifier=True)
SWINV2_TIMM_BACKBONE = Original(version=2, timm=True, classifier=False)


def read_swin(metadata: ModelMetadata) -> LayoutConfigs:
    """The configuration of a Swin."""
    tensors = metadata.tensors
    fields = _common(metadata)
    table = f"{_FIRST}.relative_position_bias_table"
    window = (_root(metadata, table, _shape(metadata, table, 2)[0]) + 1) // 2
    return _configs(
        metadata,
        SwinConfig(
            **fields,
            num_heads=_heads(metadata, "relative_position_bias_table", 1),
            window_size=window,
            image_size=_image_size(metadata, window, fields["patch_size"]) or 8 * window * fields["patch_size"],
            qkv_bias=f"{_FIRST}.qkv.bias" in tensors,
            use_absolute_embeddings="absolute_pos_embed" in tensors,
        ),
    )


def read_swinv2(metadata: ModelMetadata) -> LayoutConfigs:
    """The configuration of a Swin V2. Raises ConfigError when nothing tells the size of its windows and images."""
    fields = _common(metadata)
    stages = len(fields["depths"])
    named = _NAME.search(str(metadata.config.get("architecture", "")))
    sizes = {key: int(value) for key, value in (named.groupdict() if named else {}).items() if value is not None}
    window = _stored_window(metadata) or sizes.get("larger") or sizes.get("window")
    image = None
    if window is not None:
        stated = sizes.get("wider") or sizes.get("image")
        image = _image_size(metadata, window, fields["patch_size"]) or stated
    if window is None or image is None:
        raise ConfigError(
            f"{metadata.location}: the tensors don't tell the size of the {'windows' if window is None else 'images'} "
            "of this Swin V2, on which its position bias depends.",
            hint='Put a config.json beside it that says "architecture": "swinv2_tiny_window8_256", or whichever of '
            "timm's names it has.",
        )
    pretrained = [_stored_pretrained_window(metadata, stage) for stage in range(stages)]
    if not any(pretrained) and "larger" in sizes:
        grid = sizes["image"] // fields["patch_size"]
        pretrained = [min(sizes["window"], grid // 2**stage) for stage in range(stages)]
    return _configs(
        metadata,
        SwinV2Config(
            **fields,
            num_heads=_heads(metadata, "logit_scale", 0),
            window_size=window,
            image_size=image,
            qkv_bias=f"{_FIRST}.q_bias" in metadata.tensors,
            pretrained_window_sizes=tuple(pretrained),
        ),
    )


def _is_timm(tensors: Mapping[str, TensorRecord]) -> bool:
    """Whether what joins two stages lies in the later one."""
    if "layers.0.downsample.reduction.weight" in tensors:
        return False
    return "layers.1.downsample.reduction.weight" in tensors or "head.fc.weight" in tensors


def _common(metadata: ModelMetadata) -> dict[str, Any]:
    """The fields that both versions read off their tensors in the same way."""
    blocks = [found for name in metadata.tensors if (found := _BLOCK.fullmatch(name))]
    counts: dict[int, int] = {}
    for found in blocks:
        counts[int(found[1])] = counts.get(int(found[1]), 0) + 1
    if sorted(counts) != list(range(len(counts))):
        raise ConfigError(
            f"{metadata.location}: there are blocks of the stages {sorted(counts)}, which leave some out."
        )
    embed_dim, channels, patch, _ = _shape(metadata, "patch_embed.proj.weight", 4)
    hidden = _shape(metadata, "layers.0.blocks.0.mlp.fc1.weight", 2)[0]
    return {
        "embed_dim": embed_dim,
        "num_channels": channels,
        "patch_size": patch,
        "depths": tuple(counts[stage] for stage in range(len(counts))),
        "mlp_ratio": hidden / max(embed_dim, 1),
    }


def _configs(metadata: ModelMetadata, config: Transformer) -> LayoutConfigs:
    head = next((name for name in ("head.fc.weight", "head.weight") if name in metadata.tensors), None)
    if head is None:
        return LayoutConfigs(architecture=config)
    count = _shape(metadata, head, 2)[0]
    stated = metadata.config.get("label_names")
    if isinstance(stated, list) and len(stated) == count and all(isinstance(name, str) for name in stated):
        labels = tuple(stated)
    else:
        labels = tuple(f"LABEL_{index}" for index in range(count))
    return LayoutConfigs(architecture=config, head=ImageClassifierConfig(labels=labels))


def _heads(metadata: ModelMetadata, tensor: str, axis: int) -> tuple[int, ...]:
    """Heads of each stage, from a tensor of its first block that has one row or column for each."""
    names: list[str] = []
    while f"layers.{len(names)}.blocks.0.attn.{tensor}" in metadata.tensors:
        names.append(f"layers.{len(names)}.blocks.0.attn.{tensor}")
    return tuple(_shape(metadata, name, axis + 1)[axis] for name in names)


def _image_size(metadata: ModelMetadata, window: int, patch: int) -> int | None:
    """The side of the images: from how many windows a stored mask has, or what timm's config.json says."""
    mask = "layers.0.blocks.1.attn_mask"
    if mask in metadata.tensors:
        return _root(metadata, mask, _shape(metadata, mask, 3)[0]) * window * patch
    positions = "absolute_pos_embed"
    if positions in metadata.tensors:
        return _root(metadata, positions, _shape(metadata, positions, 3)[1]) * patch
    pretrained = metadata.config.get("pretrained_cfg")
    stated = pretrained.get("input_size") if isinstance(pretrained, Mapping) else None
    if isinstance(stated, list) and len(stated) == 3 and type(stated[1]) is int and stated[1] == stated[2]:
        return int(stated[1])
    return None


def _stored_window(metadata: ModelMetadata) -> int | None:
    index = f"{_FIRST}.relative_position_index"
    if index not in metadata.tensors:
        return None
    return _root(metadata, index, _shape(metadata, index, 2)[0])


def _stored_pretrained_window(metadata: ModelMetadata, stage: int) -> int:
    """The window that differences are counted in, from the last of the stored table: log2(1 + 8 (w - 1) / (p - 1)) / 3;
    0 when it is the stage's own or nothing is stored.
    """
    name = f"layers.{stage}.blocks.0.attn.relative_coords_table"
    record = metadata.tensors.get(name)
    if record is None or record.dtype is not DType.F32 or 0 in record.shape:
        return 0
    window = (_shape(metadata, name, 4)[1] + 1) // 2
    last: float = struct.unpack("<f", b"".join(bytes(chunk) for chunk in read_bytes(record))[-4:])[0]
    if not 0 < last < 64:
        return 0
    pretrained = round(8 * (window - 1) / (2 ** (3 * last) - 1)) + 1
    return 0 if pretrained == window else pretrained


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


def _root(metadata: ModelMetadata, name: str, square: int) -> int:
    root = math.isqrt(square)
    if root * root != square:
        raise ConfigError(
            f"{metadata.location}: tensor '{name}' has {square} entries, which is no square; "
            "only square images and windows can be read off the tensors."
        )
    return root
