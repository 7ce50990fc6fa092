from __future__ import annotations

from zoo.interfaces import LayoutConfigs
from zoo.weights.key_map import Ignore, KeyMap, Rule
from zoo_patches.config import PatchesConfig, PatchScoresConfig


def is_model(metadata):
    return metadata.config.get("architectures") == ["PatchesModel"]


def is_scores(metadata):
    return metadata.config.get("architectures") == ["PatchesForScores"]


def is_authors(metadata):
    return "arch" in metadata.config


def read_model(metadata):
    return LayoutConfigs(architecture=PatchesConfig.from_hub(metadata.config))


def read_scores(metadata):
    head = PatchScoresConfig(
        labels=metadata.config.get("labels", ("LABEL_0", "LABEL_1")),
        temperature=metadata.config.get("temperature", 1.0),
    )
    return LayoutConfigs(architecture=PatchesConfig.from_hub(metadata.config), head=head)


def write_model(configs):
    return configs.architecture.to_hub() | {"model_type": "patches", "architectures": ["PatchesModel"]}


def write_scores(configs):
    return configs.architecture.to_hub() | {
        "model_type": "patches",
        "architectures": ["PatchesForScores"],
        "labels": list(configs.head.labels),
        "temperature": configs.head.temperature,
    }


def _backbone(blocks: str, embedding: str) -> KeyMap:
    parts = ("q.weight", "k.weight", "v.weight", "out.weight", "norm.weight", "norm.bias")
    return KeyMap(
        (
            Rule(f"{embedding}.weight", "backbone.embedding.weight"),
            Rule(f"{embedding}.bias", "backbone.embedding.bias"),
            Rule("first", "backbone.first"),
            *(Rule(f"{blocks}.{{i}}.{part}", f"backbone.blocks.{{i}}.{part}") for part in parts),
        )
    )


MODEL = _backbone("blocks", "embedding")
AUTHORS = _backbone("layer", "patch_embed") + KeyMap((), (Ignore("mask", "it is used in training only"),))
SCORES = _backbone("blocks", "embedding").prefixed(stored="patches.") + KeyMap(
    (Rule("scores.weight", "head.weight"), Rule("scores.bias", "head.bias"))
)
