from __future__ import annotations

from zoo.interfaces import LayoutConfigs
from zoo.weights.key_map import KeyMap, Rule
from zoo_words.config import WordsConfig

NAMES = ("embedding.weight", "attention.q.weight", "attention.k.weight", "attention.v.weight")
MODEL = KeyMap(tuple(Rule(name, f"backbone.{name}") for name in NAMES))


def is_model(metadata):
    return metadata.config.get("model_type") == "words"


def read_model(metadata):
    return LayoutConfigs(architecture=WordsConfig.from_hub(metadata.config))


def write_model(configs):
    return configs.architecture.to_hub() | {"model_type": "words"}
