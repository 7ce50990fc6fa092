"""How Swin lies on disk as the Hub's classes write it. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from zoo.errors import ConfigError
from zoo.interfaces import LayoutConfigs, ModelMetadata
from zoo.tasks.head_configs import ImageClassifierConfig, labels_from_hub
from zoo_swin.config import SwinConfig, SwinV2Config, Transformer

__all__ = ["SWIN", "SWINV2", "HubClasses"]


@dataclass(frozen=True)
class HubClasses:
    """The Hub's classes of one version: what their files are known by, and their config.json.

    model_type: of config.json, which is also the prefix of the backbone's tensors. name: what the classes' names begin
    with.
    """

    model_type: str
    name: str
    config: type[Transformer]

    def matches_backbone(self, metadata: ModelMetadata) -> bool:
        """The bare model: no prefix before `encoder.`."""
        return self._class_of(metadata) == f"{self.name}Model"

    def matches_classifier(self, metadata: ModelMetadata) -> bool:
        """The model with a classifier."""
        return self._class_of(metadata) == f"{self.name}ForImageClassification" and not _has_no_labels(metadata)

    def matches_masked(self, metadata: ModelMetadata) -> bool:
        """The model with a decoder for masked image modelling."""
        return self._class_of(metadata) == f"{self.name}ForMaskedImageModeling"

    def matches_without_labels(self, metadata: ModelMetadata) -> bool:
        """The class of a classifier without a classifier, as it is made for no labels."""
        return self._class_of(metadata) == f"{self.name}ForImageClassification" and _has_no_labels(metadata)

    def read_backbone(self, metadata: ModelMetadata) -> LayoutConfigs:
        """The configuration of the backbone alone."""
        return LayoutConfigs(architecture=self.config.from_hub(metadata.config))

    def read_classifier(self, metadata: ModelMetadata) -> LayoutConfigs:
        """The configuration with that of the classifier; labels from `id2label` or, without it, `num_labels`."""
        config = self.config.from_hub(metadata.config)
        try:
            labels = labels_from_hub({} if _has_no_labels(metadata) else metadata.config)
        except ConfigError as error:
            raise ConfigError(f"{self.config.__name__}: {error.message}", hint=error.hint) from error
        head = ImageClassifierConfig(labels=labels, initializer_range=config.initializer_range)
        return LayoutConfigs(architecture=config, head=head)

    def write_backbone(self, configs: LayoutConfigs) -> dict[str, Any]:
        """config.json of the bare model."""
        return self._write(configs, f"{self.name}Model")

    def write_classifier(self, configs: LayoutConfigs) -> dict[str, Any]:
        """config.json of the model with a classifier."""
        head: ImageClassifierConfig = configs.head
        values = self._write(configs, f"{self.name}ForImageClassification")
        if _labels_stated(values) != head.labels:
            values.pop("num_labels", None)
            values["id2label"] = {str(index): label for index, label in enumerate(head.labels)}
            values["label2id"] = {label: index for index, label in enumerate(head.labels)}
        return values

    def _write(self, configs: LayoutConfigs, class_name: str) -> dict[str, Any]:
        values = configs.architecture.to_hub()
        if values.get("architectures") != [class_name]:  # what was read was of another class
            for key in ("id2label", "label2id", "num_labels"):
                values.pop(key, None)
        return values | {"model_type": self.model_type, "architectures": [class_name]}

    def _class_of(self, metadata: ModelMetadata) -> str | None:
        """The class that config.json names or, where it names none, the one that the tensors' names speak for."""
        if metadata.config.get("model_type") != self.model_type:
            return None
        named = metadata.config.get("architectures")
        if isinstance(named, Sequence) and not isinstance(named, str) and len(named) == 1:
            return str(named[0])
        if "classifier.weight" in metadata.tensors:
            return f"{self.name}ForImageClassification"
        if f"{self.model_type}.embeddings.mask_token" in metadata.tensors:
            return f"{self.name}ForMaskedImageModeling"
        return f"{self.name}Model"


def _has_no_labels(metadata: ModelMetadata) -> bool:
    """Whether config.json says that there are none; without a word on them there are two."""
    return metadata.config.get("num_labels") == 0 or metadata.config.get("id2label") == {}


def _labels_stated(values: Mapping[str, Any]) -> tuple[str, ...] | None:
    """The labels of a config.json that states some."""
    return labels_from_hub(values) if "id2label" in values or "num_labels" in values else None


SWIN = HubClasses("swin", "Swin", SwinConfig)
"""SwinModel and what is built on it."""

SWINV2 = HubClasses("swinv2", "Swinv2", SwinV2Config)
"""Swinv2Model and what is built on it."""
