"""The contents of the Hub's tokenizer files, from a vocabulary."""

from __future__ import annotations

from typing import Any

from zoo_gguf.tokenizer.byte_level import byte_level_parts, pre_tokenizer
from zoo_gguf.tokenizer.sentencepiece import sentencepiece_parts
from zoo_gguf.tokenizer.vocabulary import Vocabulary

__all__ = ["generation_config", "special_tokens_map", "tokenizer_config", "tokenizer_json"]

_BUILDERS = {"gpt2": byte_level_parts, "llama": sentencepiece_parts}
_END_ROLES = ("eos", "eot", "eom")


def tokenizer_json(vocabulary: Vocabulary) -> dict[str, Any]:
    """The contents of tokenizer.json, the format of the `tokenizers` library."""
    build = _BUILDERS.get(vocabulary.model or "")
    if build is None:
        raise vocabulary.error(
            "model",
            f"tokenizers of the kind {vocabulary.model!r} are not read; known are {', '.join(sorted(_BUILDERS))}.",
            hint="Load the weights with the tokenizer of the original model.",
        )
    parts = build(vocabulary)
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {"id": number, **_added_token(vocabulary, number, special)}
            for number, special in vocabulary.added_tokens.items()
        ],
        "normalizer": parts["normalizer"],
        "pre_tokenizer": parts["pre_tokenizer"],
        "post_processor": _post_processor(vocabulary),
        "decoder": parts["decoder"],
        "model": parts["model"],
    }


def tokenizer_config(vocabulary: Vocabulary, context_length: object) -> dict[str, Any]:
    """The contents of tokenizer_config.json, for transformers' tokenizers."""
    config: dict[str, Any] = {
        "add_bos_token": _adds_bos(vocabulary),
        "add_eos_token": _adds_eos(vocabulary),
        "added_tokens_decoder": {
            str(number): _added_token(vocabulary, number, special)
            for number, special in vocabulary.added_tokens.items()
        },
        "clean_up_tokenization_spaces": False,
        "tokenizer_class": "PreTrainedTokenizerFast",
    }
    if type(context_length) is int:
        config["model_max_length"] = context_length
    return config | special_tokens_map(vocabulary)


def special_tokens_map(vocabulary: Vocabulary) -> dict[str, Any]:
    """The contents of special_tokens_map.json."""
    tokens = {f"{role}_token": vocabulary.special_token(role) for role in ("bos", "eos", "unk", "pad")}
    return {name: token for name, token in tokens.items() if token is not None}


def generation_config(vocabulary: Vocabulary) -> dict[str, Any]:
    """The contents of generation_config.json. Each token for the end of text, turn or message ends generation."""
    ends = dict.fromkeys(number for role in _END_ROLES if (number := vocabulary.special_id(role)) is not None)
    config: dict[str, Any] = {
        "bos_token_id": vocabulary.special_id("bos"),
        "eos_token_id": next(iter(ends)) if len(ends) == 1 else list(ends) or None,
        "pad_token_id": vocabulary.special_id("pad"),
    }
    return {name: value for name, value in config.items() if value is not None}


def _added_token(vocabulary: Vocabulary, number: int, special: bool) -> dict[str, Any]:
    return {
        "content": vocabulary.tokens[number],
        "single_word": False,
        "lstrip": False,
        "rstrip": False,
        "normalized": False,
        "special": special,
    }


def _adds_bos(vocabulary: Vocabulary) -> bool:
    default = vocabulary.model == "llama" or (vocabulary.model == "gpt2" and pre_tokenizer(vocabulary).adds_bos)
    return vocabulary.adds("bos", default)


def _adds_eos(vocabulary: Vocabulary) -> bool:
    return vocabulary.adds("eos", False)


def _post_processor(vocabulary: Vocabulary) -> dict[str, Any] | None:
    """What puts the tokens for begin and end around a text, or around each of a pair; None when there are none."""
    begin = vocabulary.special_token("bos") if _adds_bos(vocabulary) else None
    end = vocabulary.special_token("eos") if _adds_eos(vocabulary) else None
    before, after = [begin] if begin is not None else [], [end] if end is not None else []
    if not before and not after:
        return None

    def around(sequence: str, type_id: int) -> list[dict[str, Any]]:
        return [
            *({"SpecialToken": {"id": token, "type_id": type_id}} for token in before),
            {"Sequence": {"id": sequence, "type_id": type_id}},
            *({"SpecialToken": {"id": token, "type_id": type_id}} for token in after),
        ]

    return {
        "type": "TemplateProcessing",
        "single": around("A", 0),
        "pair": around("A", 0) + around("B", 1),
        "special_tokens": {
            token: {"id": token, "ids": [vocabulary.ids[token]], "tokens": [token]} for token in before + after
        },
    }
