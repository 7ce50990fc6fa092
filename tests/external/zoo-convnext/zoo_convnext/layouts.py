"""How ConvNeXt lies on disk as the Hub's classes write it. Torch-free."""

from __future__ import annotations

from typing import Any

from zoo.interfaces import LayoutConfigs, ModelMetadata
from zoo.tasks.head_configs import ImageClassifierConfig, labels_from_hub
from zoo_convnext.config import ConvNextConfig

__all__ = [
    "matches_backbone",
    "matches_classifier",
    "read_backbone",
    "read_classifier",
    "write_backbone",
    "write_classifier",
]

_OF_LABELS = ("id2label", "label2id", "num_labels")


def matches_backbone(metadata: ModelMetadata) -> bool:
    """ConvNextModel, and what does not say."""
    return _class_of(metadata) in ("ConvNextModel", None)


def matches_classifier(metadata: ModelMetadata) -> bool:
    """ConvNextForImageClassification."""
    return _class_of(metadata) == "ConvNextForImageClassification"


def read_backbone(metadata: ModelMetadata) -> LayoutConfigs:
    """The configuration of the backbone."""
    return LayoutConfigs(architecture=ConvNextConfig.from_hub(metadata.config))


def read_classifier(metadata: ModelMetadata) -> LayoutConfigs:
    """The configurations of backbone and classifier."""
    config = ConvNextConfig.from_hub(metadata.config)
    head = ImageClassifierConfig(labels=labels_from_hub(metadata.config), initializer_range=config.initializer_range)
    return LayoutConfigs(architecture=config, head=head)


def write_backbone(configs: LayoutConfigs) -> dict[str, Any]:
    """config.json of the backbone alone."""
    values: dict[str, Any] = configs.architecture.to_hub()
    if values.get("architectures") != ["ConvNextModel"]:
        values = {key: value for key, value in values.items() if key not in _OF_LABELS}
    return values | {"model_type": "convnext", "architectures": ["ConvNextModel"]}


def write_classifier(configs: LayoutConfigs) -> dict[str, Any]:
    """config.json with the labels of the classifier."""
    values: dict[str, Any] = configs.architecture.to_hub()
    labels = configs.head.labels
    named = values.get("architectures") == ["ConvNextForImageClassification"]
    if not named or labels_from_hub(values) != labels:
        values.pop("num_labels", None)
        values["id2label"] = {str(index): label for index, label in enumerate(labels)}
        values["label2id"] = {label: index for index, label in enumerate(labels)}
    return values | {"model_type": "convnext", "architectures": ["ConvNextForImageClassification"]}


def _class_of(metadata: ModelMetadata) -> str | None:
    if metadata.config.get("model_type") != "convnext":
        return ""
    named = metadata.config.get("architectures")
    return str(named[0]) if isinstance(named, list | tuple) and named else None
