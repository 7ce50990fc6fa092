"""tokenizer.json for the model "gpt2": byte-pair encoding of bytes that are written as printable characters."""

from __future__ import annotations

from typing import Any

from zoo.log import logger
from zoo_gguf.tokenizer.pre_tokenizers import PRE_TOKENIZERS, PreTokenizer
from zoo_gguf.tokenizer.vocabulary import Vocabulary

__all__ = ["byte_level_parts", "pre_tokenizer"]


def pre_tokenizer(vocabulary: Vocabulary) -> PreTokenizer:
    """The rule that cuts text into words."""
    name = vocabulary.pre
    if name is None:
        logger.warning("The GGUF file has no 'tokenizer.ggml.pre'; text is cut by llama.cpp's default rule.")
        name = "default"
    rule = PRE_TOKENIZERS.get(name)
    if rule is None:
        raise vocabulary.error(
            "pre",
            f"the rule {name!r} is not known; known are {', '.join(sorted(PRE_TOKENIZERS))}.",
            hint="Without it text would be tokenized wrongly. A newer zoo-gguf may know it; "
            "or load the weights with the tokenizer of the original model.",
        )
    return rule


def byte_level_parts(vocabulary: Vocabulary) -> dict[str, Any]:
    """The parts of tokenizer.json that depend on the model."""
    rule = pre_tokenizer(vocabulary)
    merges = vocabulary.merges
    if merges is None:
        raise vocabulary.error("merges", "it is missing; byte-pair encoding needs it.")
    steps = list(rule.steps)
    return {
        "normalizer": None,
        "pre_tokenizer": steps[0] if len(steps) == 1 else {"type": "Sequence", "pretokenizers": steps},
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": rule.ignore_merges,
            "vocab": vocabulary.ids,
            "merges": merges,
        },
    }
