"""The Hub's small files that a GGUF stands for: tokenizer, chat template, generation. Made when they are read."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any

from zoo.checkpoint.describe import shown_path
from zoo.checkpoint.files import MemoryFiles
from zoo.errors import PreprocessorError
from zoo_gguf.header import Header
from zoo_gguf.tokenizer.files import generation_config, special_tokens_map, tokenizer_config, tokenizer_json
from zoo_gguf.tokenizer.vocabulary import Vocabulary

__all__ = ["side_files"]

_TEMPLATE_KEY = "tokenizer.chat_template"
_NO_TOKENIZER = (None, "none", "no_vocab")


def side_files(header: Header) -> MemoryFiles:
    """tokenizer.json and its companions, as far as the file's key-values tell of them.

    Reading one raises PreprocessorError when the tokenizer is of a kind that can't be expressed.
    """
    metadata = header.metadata
    contents: dict[str, bytes | Callable[[], bytes]] = {}
    if metadata.get("tokenizer.ggml.model") not in _NO_TOKENIZER:
        vocabulary = Vocabulary(header.path, metadata)
        context = metadata.get(f"{metadata.get('general.architecture')}.context_length")
        contents["tokenizer.json"] = partial(_json, None, tokenizer_json, vocabulary)
        contents["tokenizer_config.json"] = partial(_json, 2, tokenizer_config, vocabulary, context)
        contents["special_tokens_map.json"] = partial(_json, 2, special_tokens_map, vocabulary)
        contents["generation_config.json"] = partial(_json, 2, generation_config, vocabulary)
    if _TEMPLATE_KEY in metadata:
        contents["chat_template.jinja"] = partial(_chat_template, header)
    return MemoryFiles(shown_path(header.path), contents)


def _chat_template(header: Header) -> bytes:
    template = header.metadata[_TEMPLATE_KEY]
    if not isinstance(template, str):
        raise PreprocessorError(
            f"{shown_path(header.path)}: key '{_TEMPLATE_KEY}': found {type(template).__name__}; str was expected."
        )
    return template.encode()


def _json(indent: int | None, make: Callable[..., dict[str, Any]], *arguments: Any) -> bytes:
    # With an indent json takes its slow path, which costs a quarter of a second for a vocabulary.
    return json.dumps(make(*arguments), ensure_ascii=False, indent=indent).encode()
