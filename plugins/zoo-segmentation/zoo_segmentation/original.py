"""UperNet with Swin in the names that the authors' fork of MMSegmentation gave: `backbone.` before Swin's own, and no
configuration of the Hub's, so that it is read off the tensors. Torch-free.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from zoo.errors import ConfigError
from zoo.interfaces import LayoutConfigs, ModelMetadata
from zoo.registry import registry, resolve_object
from zoo_segmentation.config import UperNetConfig
from zoo_segmentation.stage_norms_config import StageNormsConfig

__all__ = ["BACKBONE", "matches", "read_config"]

BACKBONE = "zoo-swin:swin-microsoft-backbone"
"""The layout of the backbone alone."""

_PREFIX = "backbone."


def matches(metadata: ModelMetadata) -> bool:
    """Whether a checkpoint is of this kind. A file that says what the Hub calls it is not."""
    return (
        metadata.config.get("model_type") is None
        and "decode_head.conv_seg.weight" in metadata.tensors
        and "backbone.layers.0.blocks.0.attn.relative_position_bias_table" in metadata.tensors
    )


def read_config(metadata: ModelMetadata) -> LayoutConfigs:
    """The configurations of backbone, neck and head. Raises ConfigError naming the tensor that does not tell it."""
    inside = {
        name.removeprefix(_PREFIX): record for name, record in metadata.tensors.items() if name.startswith(_PREFIX)
    }
    read = resolve_object(registry().layouts.get(BACKBONE).spec.read_config)
    backbone: LayoutConfigs = read(replace(metadata, tensors=inside))
    return LayoutConfigs(architecture=backbone.architecture.maps_only(), neck=StageNormsConfig(), head=_head(metadata))


def _head(metadata: ModelMetadata) -> UperNetConfig:
    tensors = metadata.tensors
    labels, channels = _shape(metadata, "decode_head.conv_seg.weight")[:2]
    grids = len(list(_numbered(metadata, "decode_head.psp_modules.{}.1.conv.weight")))
    default = UperNetConfig()
    if grids != len(default.pool_scales):
        raise ConfigError(
            f"{metadata.location}: the coarsest map is pooled to {grids} grids, whose sizes the tensors don't tell; of "
            f"the usual ones, {list(default.pool_scales)}, there are {len(default.pool_scales)}."
        )
    head = default.replace(
        labels=tuple(f"LABEL_{index}" for index in range(labels)),
        channels=channels,
        # Enough of them may have a label where 255 usually stands for none.
        ignore_index=default.ignore_index if labels <= default.ignore_index else -100,
        auxiliary="auxiliary_head.conv_seg.weight" in tensors,
    )
    if not head.auxiliary:
        return head
    return head.replace(
        auxiliary_channels=_shape(metadata, "auxiliary_head.conv_seg.weight")[1],
        auxiliary_convs=len(list(_numbered(metadata, "auxiliary_head.convs.{}.conv.weight"))),
        auxiliary_concat="auxiliary_head.conv_cat.conv.weight" in tensors,
    )


def _numbered(metadata: ModelMetadata, template: str) -> Iterator[str]:
    """The names with 0, 1, ... in the template that there are."""
    number = 0
    while (name := template.format(number)) in metadata.tensors:
        yield name
        number += 1


def _shape(metadata: ModelMetadata, name: str) -> tuple[int, ...]:
    """The shape of a classifier's weight."""
    shape = tuple(metadata.tensors[name].shape)
    if len(shape) != 4:
        raise ConfigError(
            f"{metadata.location}: the configuration is read off the tensor '{name}', which has to have 4 dimensions; "
            f"it has the shape {list(shape)}."
        )
    return shape
