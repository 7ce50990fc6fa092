"""How Llama lies on disk: the Hub's three classes. Torch-free."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from zoo.interfaces import LayoutConfigs, ModelMetadata
from zoo.tasks.head_configs import CausalLMHeadConfig, LastTokenClassifierConfig, labels_from_hub
from zoo_llama.config import LlamaConfig

__all__ = [
    "matches_backbone",
    "matches_causal_lm",
    "matches_classification",
    "read_backbone",
    "read_causal_lm",
    "read_classification",
    "write_backbone",
    "write_causal_lm",
    "write_classification",
]


def matches_backbone(metadata: ModelMetadata) -> bool:
    """LlamaModel: no prefix before the layers."""
    return _is_llama(metadata) and _class_name(metadata) == "LlamaModel"


def matches_causal_lm(metadata: ModelMetadata) -> bool:
    """LlamaForCausalLM."""
    return _is_llama(metadata) and _class_name(metadata) == "LlamaForCausalLM"


def matches_classification(metadata: ModelMetadata) -> bool:
    """LlamaForSequenceClassification."""
    return _is_llama(metadata) and _class_name(metadata) == "LlamaForSequenceClassification"


def read_backbone(metadata: ModelMetadata) -> LayoutConfigs:
    """The configuration of the backbone alone."""
    return LayoutConfigs(architecture=LlamaConfig.from_hub(metadata.config))


def read_causal_lm(metadata: ModelMetadata) -> LayoutConfigs:
    """The configuration with that of the language-model head."""
    config = LlamaConfig.from_hub(metadata.config)
    head = CausalLMHeadConfig(
        vocab_size=config.vocab_size, tied=config.tie_word_embeddings, initializer_range=config.initializer_range
    )
    return LayoutConfigs(architecture=config, head=head)


def read_classification(metadata: ModelMetadata) -> LayoutConfigs:
    """The configuration with that of the classifier; labels from `id2label` or, without it, `num_labels`."""
    config = LlamaConfig.from_hub(metadata.config)
    head = LastTokenClassifierConfig(
        labels=labels_from_hub(metadata.config),
        pad_token_id=config.pad_token_id,
        initializer_range=config.initializer_range,
    )
    return LayoutConfigs(architecture=config, head=head)


def write_backbone(configs: LayoutConfigs) -> dict[str, Any]:
    """config.json of LlamaModel."""
    return _write(configs, "LlamaModel")


def write_causal_lm(configs: LayoutConfigs) -> dict[str, Any]:
    """config.json of LlamaForCausalLM."""
    head: CausalLMHeadConfig = configs.head
    return _write(configs, "LlamaForCausalLM") | {"tie_word_embeddings": head.tied}


def write_classification(configs: LayoutConfigs) -> dict[str, Any]:
    """config.json of LlamaForSequenceClassification."""
    head: LastTokenClassifierConfig = configs.head
    values = _write(configs, "LlamaForSequenceClassification")
    values.pop("num_labels", None)
    values["id2label"] = {str(index): label for index, label in enumerate(head.labels)}
    values["label2id"] = {label: index for index, label in enumerate(head.labels)}
    if head.pad_token_id is not None:
        values["pad_token_id"] = head.pad_token_id
    return values


def _write(configs: LayoutConfigs, class_name: str) -> dict[str, Any]:
    values = configs.architecture.to_hub()
    if values.get("architectures") != [class_name]:  # what was read was of another class
        for key in ("id2label", "label2id", "num_labels"):
            values.pop(key, None)
    return values | {"model_type": "llama", "architectures": [class_name]}


def _is_llama(metadata: ModelMetadata) -> bool:
    return metadata.config.get("model_type") == "llama"


def _class_name(metadata: ModelMetadata) -> str:
    """The class that config.json names or, where it names none of ours, the one that the tensors' names speak for."""
    named = metadata.config.get("architectures")
    if isinstance(named, Sequence) and not isinstance(named, str) and len(named) == 1:
        return str(named[0])
    if "score.weight" in metadata.tensors:
        return "LlamaForSequenceClassification"
    if any(name.startswith(("model.", "lm_head.")) for name in metadata.tensors):
        return "LlamaForCausalLM"
    return "LlamaModel"
