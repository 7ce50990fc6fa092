"""How a backbone with UperNet lies on disk as the Hub's UperNetForSemanticSegmentation. Torch-free.

Any backbone can: a plugin makes an `UperNetLayout` and `keys.UperNetKeys` of its own and names them in a LayoutSpec.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from zoo.errors import ConfigError
from zoo.interfaces import Config, LayoutConfigs, ModelMetadata, shown
from zoo.registry import registry, resolve_object
from zoo.tasks.head_configs import labels_from_hub
from zoo_segmentation.config import UperNetConfig
from zoo_segmentation.stage_norms_config import StageNormsConfig

__all__ = ["SWIN", "SWINV2", "UperNetLayout"]

MODEL_TYPE = "upernet"
CLASS_NAME = "UperNetForSemanticSegmentation"

STAGES = ("stage1", "stage2", "stage3", "stage4")
"""What the Hub's backbones call the maps that UperNet needs."""

_OF_A_WHOLE_MODEL = (
    "architectures",
    "dtype",
    "id2label",
    "label2id",
    "num_labels",
    "torch_dtype",
    "transformers_version",
)
"""What a backbone's own config.json says that has no meaning inside another's."""


@dataclass(frozen=True)
class UperNetLayout:
    """The Hub's UperNet with one kind of backbone.

    architecture: the full name of its ArchitectureSpec. model_type: what the Hub calls it in `backbone_config`. norms:
    whether the Hub's backbone normalises its maps, which is the neck `stage-norms`. own_keys: keys of the backbone's
    configuration by which zoo says that only maps are wanted; the layout itself says so.
    """

    architecture: str
    model_type: str
    norms: bool = True
    own_keys: tuple[str, ...] = ("dense",)

    def matches(self, metadata: ModelMetadata) -> bool:
        """A config.json of UperNet around this backbone."""
        values = metadata.config
        inner = values.get("backbone_config")
        named = values.get("architectures")
        return (
            values.get("model_type") == MODEL_TYPE
            and isinstance(inner, Mapping)
            and inner.get("model_type") == self.model_type
            and (not isinstance(named, Sequence) or not named or CLASS_NAME in named)
        )

    def read_config(self, metadata: ModelMetadata) -> LayoutConfigs:
        """The configurations of backbone, neck and head; of a backbone's own config.json, with the defaults of a fresh
        head.
        """
        values = metadata.config
        neck = StageNormsConfig() if self.norms else None
        architecture = registry().architectures.get(self.architecture)
        config_type: type[Config] = resolve_object(architecture.spec.config)
        if values.get("model_type") != MODEL_TYPE:
            config = config_type.from_hub(values).maps_only()
            return LayoutConfigs(architecture=config, neck=neck, head=UperNetConfig())
        inner = values["backbone_config"]
        try:
            config = config_type.from_hub(inner).maps_only()
        except ConfigError as error:
            raise ConfigError(f"field 'backbone_config': {error.message}", hint=error.hint) from error
        head = UperNetConfig.from_hub(values).replace(labels=_labels(values))
        _require_all_stages(inner)
        _require_channels(config, head, values)
        return LayoutConfigs(architecture=config, neck=neck, head=head)

    def write_config(self, configs: LayoutConfigs) -> dict[str, Any]:
        """The contents of config.json: what was read, with what has changed since."""
        head: UperNetConfig = configs.head
        values = head.to_hub()
        read = values.get("model_type") == MODEL_TYPE
        inner = {key: value for key, value in configs.architecture.to_hub().items() if key not in self.own_keys}
        if not read:
            inner = {key: value for key, value in inner.items() if key not in _OF_A_WHOLE_MODEL}
        values["backbone_config"] = {"out_features": list(STAGES), **inner, "model_type": self.model_type}
        values.pop("labels", None)
        if not read or _labels(values) != head.labels:
            values.pop("num_labels", None)
            values["id2label"] = {str(index): label for index, label in enumerate(head.labels)}
            values["label2id"] = {label: index for index, label in enumerate(head.labels)}
        return values | {"model_type": MODEL_TYPE, "architectures": [CLASS_NAME]}


def _labels(values: Mapping[str, Any]) -> tuple[str, ...]:
    try:
        return labels_from_hub(values)
    except ConfigError as error:
        raise ConfigError(f"UperNetConfig: {error.message}", hint=error.hint) from error


def _require_all_stages(inner: Mapping[str, Any]) -> None:
    """Raise ConfigError where the backbone's maps are not the four of UperNet."""
    named, numbers = inner.get("out_features"), inner.get("out_indices")
    if named is None and isinstance(numbers, Sequence) and not isinstance(numbers, str):
        named = [f"stage{number}" for number in numbers]
    if not isinstance(named, Sequence) or tuple(named) != STAGES:
        raise ConfigError(
            f"field 'backbone_config.out_features': expected {list(STAGES)}, the maps at strides 4, 8, 16 and 32; "
            f"found {shown(named)}."
        )


def _require_channels(config: Config, head: UperNetConfig, values: Mapping[str, Any]) -> None:
    """Raise ConfigError where the auxiliary head was made for another map than it is given."""
    stated = values.get("auxiliary_in_channels")
    maps = [spec for spec in config.feature_specs() if spec.kind == "map"]
    if not head.auxiliary or stated is None or len(maps) <= head.auxiliary_index:
        return
    given = maps[head.auxiliary_index]
    if stated != given.channels:
        raise ConfigError(
            f"field 'auxiliary_in_channels': expected {given.channels}, the channels of the backbone's map "
            f"'{given.name}', or null; found {shown(stated)}."
        )


SWIN = UperNetLayout("zoo-swin:swin", "swin")
"""UperNet with Swin, as the authors trained it on ADE20K."""

SWINV2 = UperNetLayout("zoo-swin:swinv2", "swinv2", norms=False)
"""UperNet with Swin V2, whose blocks end with norms already."""
