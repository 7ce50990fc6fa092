"""UperNet around ConvNeXt, as the Hub has it: by the tools that zoo-segmentation gives to any backbone.

Where zoo-segmentation is not installed no checkpoint is in this layout.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from zoo.interfaces import LayoutConfigs, ModelMetadata

if TYPE_CHECKING:
    from zoo.weights.key_map import KeyMap
    from zoo_segmentation.layouts import UperNetLayout

__all__ = ["key_map", "matches", "read_config", "write_config"]

ARCHITECTURE = "zoo-convnext:convnext"

EPS = 1e-6
"""Of the norms of the maps, as the Hub's ConvNextBackbone has them."""


def matches(metadata: ModelMetadata) -> bool:
    """A config.json of UperNet around a ConvNeXt."""
    if metadata.config.get("model_type") != "upernet":
        return False
    try:
        return _layout().matches(metadata)
    except ModuleNotFoundError:
        return False


def read_config(metadata: ModelMetadata) -> LayoutConfigs:
    """The configurations of backbone, neck and head."""
    configs = _layout().read_config(metadata)
    return replace(configs, neck=configs.neck.replace(layer_norm_eps=EPS))


def write_config(configs: LayoutConfigs) -> dict[str, Any]:
    """The contents of config.json."""
    return _layout().write_config(configs)


def key_map(configs: LayoutConfigs) -> KeyMap:
    """The names of all tensors."""
    from zoo_segmentation.keys import UperNetKeys

    return UperNetKeys(ARCHITECTURE, unused=("layernorm",))(configs)


def _layout() -> UperNetLayout:
    from zoo_segmentation.layouts import UperNetLayout

    return UperNetLayout(ARCHITECTURE, "convnext")
