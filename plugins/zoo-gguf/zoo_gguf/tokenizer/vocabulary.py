"""The tokenizer that a GGUF describes in its `tokenizer.ggml.*` keys, checked as it is read."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from functools import cached_property
from pathlib import Path
from typing import Any

from zoo.checkpoint.describe import quoted, shown_path
from zoo.errors import PreprocessorError

__all__ = ["TokenType", "Vocabulary"]

_PREFIX = "tokenizer.ggml."


class TokenType(IntEnum):
    """What a token is, as `tokenizer.ggml.token_type` numbers it."""

    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4
    UNUSED = 5
    BYTE = 6


_SPECIAL_TYPES = (TokenType.UNKNOWN, TokenType.CONTROL)

_SPECIAL_IDS = {
    "bos": "bos_token_id",
    "eos": "eos_token_id",
    "eot": "eot_token_id",
    "eom": "eom_token_id",
    "unk": "unknown_token_id",
    "pad": "padding_token_id",
}

_WORDS = {
    bool: "true or false",
    int: "a number",
    float: "a number with a fraction",
    str: "text",
    tuple: "an array",
}

_SENTENCEPIECE_IDS = {"unk": 0, "bos": 1, "eos": 2}
"""What llama.cpp takes for a vocabulary of the model "llama" that says nothing."""


class Vocabulary:
    """The tokens of a GGUF and what it says of them. PreprocessorError, naming the key, for what can not be used."""

    def __init__(self, path: Path, metadata: Mapping[str, Any]) -> None:
        self._path = path
        self._metadata = metadata

    def error(self, key: str, problem: str, *, hint: str | None = None) -> PreprocessorError:
        """The error for a key of the tokenizer, to be raised."""
        return PreprocessorError(f"{shown_path(self._path)}: key '{_PREFIX}{key}': {problem}", hint=hint)

    def value(self, key: str, kind: type) -> Any:
        """The value of `tokenizer.ggml.KEY`, which must be of the type; None when there is no such key."""
        value = self._metadata.get(_PREFIX + key)
        # bool is a child of int in Python; in a GGUF it is another type.
        if value is not None and (not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool)):
            raise self.error(key, f"found {_WORDS[type(value)]}; {_WORDS[kind]} was expected.")
        return value

    @cached_property
    def model(self) -> str | None:
        """The kind of tokenizer: "gpt2", "llama", ..."""
        model: str | None = self.value("model", str)
        return model

    @cached_property
    def pre(self) -> str | None:
        """The name of the rule by which text is cut before byte pairs are merged."""
        pre: str | None = self.value("pre", str)
        return pre

    @cached_property
    def tokens(self) -> tuple[str, ...]:
        """The tokens by id. An empty one gets a name of its own, as in llama.cpp."""
        stored = self._array("tokens", str)
        if stored is None:
            raise self.error("tokens", "it is missing; it holds the vocabulary.")
        return tuple(token or f"[EMPTY_{index}]" for index, token in enumerate(stored))

    @cached_property
    def ids(self) -> dict[str, int]:
        """The id of each token, in the order of the ids."""
        ids = {token: index for index, token in enumerate(self.tokens)}
        if len(ids) != len(self.tokens):
            first, token = next((index, token) for index, token in enumerate(self.tokens) if ids[token] != index)
            raise self.error("tokens", f"the token {quoted(token)} is there twice, with ids {first} and {ids[token]}.")
        return ids

    @cached_property
    def types(self) -> tuple[int, ...]:
        """A TokenType for each token; all normal when the file does not say."""
        types = self._array("token_type", int)
        if types is None:
            return (TokenType.NORMAL,) * len(self.tokens)
        return self._one_each("token_type", types)

    @cached_property
    def scores(self) -> tuple[float, ...] | None:
        """The score of each token in SentencePiece's vocabulary."""
        scores = self._array("scores", float, int)
        return None if scores is None else self._one_each("scores", scores)

    @cached_property
    def merges(self) -> list[tuple[str, str]] | None:
        """The pairs of byte-pair encoding, the first to be merged first; each pair and its union are tokens."""
        stored = self._array("merges", str)
        if stored is None:
            return None
        ids, pairs = self.ids, []
        for index, merge in enumerate(stored):
            left, _, right = merge.partition(" ")
            if not left:  # the first piece may be a space itself
                left, _, right = merge[:1], merge[1:2], merge[2:]
            if left not in ids or right not in ids or left + right not in ids:
                raise self.error("merges", f"item {index}, {quoted(merge)}, is not two tokens that make a third.")
            pairs.append((left, right))
        return pairs

    def special_id(self, role: str) -> int | None:
        """The id of the token of a role: bos, eos, eot, eom, unk or pad."""
        key = _SPECIAL_IDS[role]
        number: int | None = self.value(key, int)
        if number is None:
            number = _SENTENCEPIECE_IDS.get(role) if self.model == "llama" else None
            return number if number is not None and number < len(self.tokens) else None
        if not 0 <= number < len(self.tokens):
            raise self.error(key, f"found {number}, but there are only {len(self.tokens)} tokens.")
        return number

    def special_token(self, role: str) -> str | None:
        """The token of a role."""
        number = self.special_id(role)
        return None if number is None else self.tokens[number]

    @cached_property
    def added_tokens(self) -> dict[int, bool]:
        """The tokens that are matched in text before it is cut: id -> whether it is special."""
        named = {self.special_id(role) for role in _SPECIAL_IDS}
        kinds = {int(kind) for kind in (*_SPECIAL_TYPES, TokenType.USER_DEFINED)}
        return {
            index: kind in _SPECIAL_TYPES or index in named
            for index, kind in enumerate(self.types)
            if kind in kinds or index in named
        }

    def adds(self, role: str, default: bool) -> bool:
        """Whether the token of a role, bos or eos, is put around every text."""
        key = f"add_{role}_token"
        value: bool | None = self.value(key, bool)
        adds = default if value is None else value
        if adds and self.special_id(role) is None:
            raise self.error(key, f"it is true, but there is no '{_PREFIX}{_SPECIAL_IDS[role]}'.")
        return adds

    def _array(self, key: str, *kinds: type) -> tuple[Any, ...] | None:
        values: tuple[Any, ...] | None = self.value(key, tuple)
        # The items of an array are all of one type, so the first tells.
        if values and type(values[0]) not in kinds:
            raise self.error(key, f"each of its items is {_WORDS[type(values[0])]}; {_WORDS[kinds[0]]} was expected.")
        return values

    def _one_each(self, key: str, values: tuple[Any, ...]) -> tuple[Any, ...]:
        if len(values) != len(self.tokens):
            raise self.error(key, f"it has {len(values)} items for {len(self.tokens)} tokens.")
        return values
