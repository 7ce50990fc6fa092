"""How ViT, DeiT and DINOv2 lie on disk as the Hub's classes write them. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from zoo.errors import ConfigError
from zoo.interfaces import LayoutConfigs, ModelMetadata
from zoo.tasks.head_configs import ImageClassifierConfig, labels_from_hub
from zoo_vit.config import DeiTConfig, Dinov2Config, Transformer, ViTConfig

__all__ = ["DEIT", "DINOV2", "VIT", "HubClasses"]


@dataclass(frozen=True)
class HubClasses:
    """The Hub's classes of one architecture: what their files are known by, and their config.json.

    names: `model_type` of config.json, which is also the prefix of the backbone's tensors -> what the classes' names
    begin with.
    """

    names: Mapping[str, str]
    config: type[Transformer]

    def matches_backbone(self, metadata: ModelMetadata) -> bool:
        """The bare model: no prefix before `encoder.`. The Hub's backbones for dense prediction have the same names."""
        return self._class_of(metadata) in ("Model", "Backbone")

    def matches_classifier(self, metadata: ModelMetadata) -> bool:
        """The model with a classifier."""
        return self._class_of(metadata) == "ForImageClassification"

    def matches_teacher(self, metadata: ModelMetadata) -> bool:
        """The model with a classifier for the class token and one for the distillation token."""
        return self._class_of(metadata) == "ForImageClassificationWithTeacher"

    def matches_masked(self, metadata: ModelMetadata) -> bool:
        """The model with a decoder for masked image modelling."""
        return self._class_of(metadata) == "ForMaskedImageModeling"

    def read_backbone(self, metadata: ModelMetadata) -> LayoutConfigs:
        """The configuration of the backbone alone."""
        config = self.config.from_hub(metadata.config)
        if isinstance(config, ViTConfig) and metadata.tensors:
            # config.json does not say whether there is a pooler.
            pooler = any(name.endswith("pooler.dense.weight") for name in metadata.tensors)
            config = config.replace(pooler=pooler)
        return LayoutConfigs(architecture=config)

    def read_classifier(self, metadata: ModelMetadata) -> LayoutConfigs:
        """The configuration with that of the classifier; labels from `id2label` or, without it, `num_labels`."""
        config = self.read_backbone(metadata).architecture
        assert isinstance(config, Transformer)
        try:
            labels = labels_from_hub(metadata.config)
        except ConfigError as error:
            raise ConfigError(f"{self.config.__name__}: {error.message}", hint=error.hint) from error
        head = ImageClassifierConfig(labels=labels, initializer_range=config.initializer_range)
        return LayoutConfigs(architecture=config, head=head)

    def write_backbone(self, configs: LayoutConfigs) -> dict[str, Any]:
        """config.json of the bare model; of the Hub's backbone for dense prediction if it was read from one."""
        stated = configs.architecture.to_hub().get("architectures")
        name = self.names[_transformer(configs).hub_type]
        return self._write(configs, "Backbone" if stated == [f"{name}Backbone"] else "Model")

    def write_classifier(self, configs: LayoutConfigs) -> dict[str, Any]:
        """config.json of the model with a classifier."""
        return self._write_labels(configs, "ForImageClassification")

    def write_teacher(self, configs: LayoutConfigs) -> dict[str, Any]:
        """config.json of the model with two classifiers."""
        return self._write_labels(configs, "ForImageClassificationWithTeacher")

    def _write_labels(self, configs: LayoutConfigs, kind: str) -> dict[str, Any]:
        head: ImageClassifierConfig = configs.head
        values = self._write(configs, kind)
        if _labels_stated(values) != head.labels:
            values.pop("num_labels", None)
            values["id2label"] = {str(index): label for index, label in enumerate(head.labels)}
            values["label2id"] = {label: index for index, label in enumerate(head.labels)}
        return values

    def _write(self, configs: LayoutConfigs, kind: str) -> dict[str, Any]:
        config = _transformer(configs)
        values = config.to_hub()
        values.pop("pooler", None)  # the tensors tell
        class_name = self.names[config.hub_type] + kind
        if values.get("architectures") != [class_name]:  # what was read was of another class
            for key in ("id2label", "label2id", "num_labels"):
                values.pop(key, None)
        return values | {"model_type": config.hub_type, "architectures": [class_name]}

    def _class_of(self, metadata: ModelMetadata) -> str | None:
        """The end of the name of the class that config.json names or, where it names none, of the one that the
        tensors' names speak for.
        """
        name = self.names.get(str(metadata.config.get("model_type")))
        if name is None:
            return None
        named = metadata.config.get("architectures")
        if isinstance(named, Sequence) and not isinstance(named, str) and len(named) == 1:
            stated = str(named[0])
            return stated.removeprefix(name) if stated.startswith(name) else None
        if "classifier.weight" in metadata.tensors:
            return "ForImageClassification"
        if "distillation_classifier.weight" in metadata.tensors:
            return "ForImageClassificationWithTeacher"
        if "decoder.0.weight" in metadata.tensors:
            return "ForMaskedImageModeling"
        return "Model"


def _transformer(configs: LayoutConfigs) -> Transformer:
    config = configs.architecture
    assert isinstance(config, Transformer)
    return config


def _labels_stated(values: Mapping[str, Any]) -> tuple[str, ...] | None:
    """The labels of a config.json that states some."""
    return labels_from_hub(values) if "id2label" in values or "num_labels" in values else None


VIT = HubClasses({"vit": "ViT"}, ViTConfig)
"""ViTModel and what is built on it."""

DEIT = HubClasses({"deit": "DeiT"}, DeiTConfig)
"""DeiTModel and what is built on it."""

DINOV2 = HubClasses({"dinov2": "Dinov2", "dinov2_with_registers": "Dinov2WithRegisters"}, Dinov2Config)
"""Dinov2Model, Dinov2WithRegistersModel and what is built on them."""
