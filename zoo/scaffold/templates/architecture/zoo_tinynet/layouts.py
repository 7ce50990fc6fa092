"""How Tinynet lies on disk: which files are known for one, and their config.json. Torch-free."""

from __future__ import annotations

from typing import Any

from zoo.interfaces import LayoutConfigs, ModelMetadata
from zoo.tasks.head_configs import ImageClassifierConfig, labels_from_hub
from zoo_tinynet.config import TinynetConfig

__all__ = [
    "matches_backbone",
    "matches_classifier",
    "read_backbone",
    "read_classifier",
    "write_backbone",
    "write_classifier",
]

_BACKBONE, _CLASSIFIER = "TinynetModel", "TinynetForImageClassification"


def matches_backbone(metadata: ModelMetadata) -> bool:
    """The backbone alone; also where config.json does not say."""
    return _class_of(metadata) in (_BACKBONE, None)


def matches_classifier(metadata: ModelMetadata) -> bool:
    """The backbone with a classifier."""
    return _class_of(metadata) == _CLASSIFIER


def read_backbone(metadata: ModelMetadata) -> LayoutConfigs:
    """The configuration of the backbone."""
    return LayoutConfigs(architecture=TinynetConfig.from_hub(metadata.config))


def read_classifier(metadata: ModelMetadata) -> LayoutConfigs:
    """The configurations of the backbone and the classifier."""
    config = TinynetConfig.from_hub(metadata.config)
    labels = labels_from_hub(metadata.config)
    head = ImageClassifierConfig(labels=labels, initializer_range=config.initializer_range)
    return LayoutConfigs(architecture=config, head=head)


def write_backbone(configs: LayoutConfigs) -> dict[str, Any]:
    """config.json of the backbone alone."""
    values: dict[str, Any] = configs.architecture.to_hub()
    for key in ("id2label", "label2id", "num_labels"):
        values.pop(key, None)
    return values | {"model_type": "tinynet", "architectures": [_BACKBONE]}


def write_classifier(configs: LayoutConfigs) -> dict[str, Any]:
    """config.json of the backbone with a classifier."""
    labels = configs.head.labels
    return write_backbone(configs) | {
        "architectures": [_CLASSIFIER],
        "id2label": {str(index): label for index, label in enumerate(labels)},
        "label2id": {label: index for index, label in enumerate(labels)},
    }


def _class_of(metadata: ModelMetadata) -> str | None:
    """The class that config.json names; of other kinds of model ""."""
    if metadata.config.get("model_type") != "tinynet":
        return ""
    named = metadata.config.get("architectures")
    return str(named[0]) if isinstance(named, list) and named else None
