"""From files to a `tokenizers.Tokenizer` that gives the ids of the Hub's reference."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tokenizers import Tokenizer
from tokenizers.models import BPE

from zoo.errors import PreprocessorError
from zoo.preprocess.special_tokens import gather_special_tokens
from zoo.preprocess.tokenizer_classes import class_defaults, rebuilt_pipeline, tokenizer_class
from zoo.preprocess.tokenizer_files import TokenizerFiles

__all__ = ["Backend", "build_backend"]


@dataclass(frozen=True)
class Backend:
    """tokenizer: ready to use. roles: "eos_token" -> its text, and so on. cleans_up: whether decoding tidies spaces."""

    tokenizer: Tokenizer
    roles: Mapping[str, str]
    cleans_up: bool


def build_backend(files: TokenizerFiles, config: Mapping[str, Any]) -> Backend:
    """config: the contents of config.json. Raises PreprocessorError for files that make no tokenizer."""
    name = tokenizer_class(files.config, config, files.tokenizer)
    tokenizer = _parse(files, files.tokenizer)
    if not isinstance(tokenizer.model, BPE):
        name = None
    own = tokenizer.get_added_tokens_decoder()
    defaults = dict(class_defaults(name))
    if tokenizer.padding:
        defaults["pad_token"] = tokenizer.padding["pad_token"]
    if name is not None:
        rebuilt = rebuilt_pipeline(name, json.loads(files.tokenizer), files.config)
        tokenizer = _parse(files, json.dumps(rebuilt).encode())
    present = [token.content for token in tokenizer.get_added_tokens_decoder().values()]
    special = gather_special_tokens(files, own, present, defaults)
    tokenizer.add_tokens(list(special.to_add))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    tokenizer.encode_special_tokens = bool(files.config.get("split_special_tokens", False))
    return Backend(tokenizer, special.roles, _cleans_up(files.config, tokenizer))


def _parse(files: TokenizerFiles, content: bytes) -> Tokenizer:
    try:
        return Tokenizer.from_buffer(content)
    except Exception as error:  # the library raises Exception itself
        raise PreprocessorError(
            f"{files.place()}: the tokenizers library can't read it: {error}.",
            hint="The file is damaged or was written by a newer version; get it again from where the model came from.",
        ) from error


def _cleans_up(settings: Mapping[str, Any], tokenizer: Tokenizer) -> bool:
    """The reference leaves BPE alone, whose spaces are its own."""
    if not settings.get("clean_up_tokenization_spaces", False):
        return False
    forced = settings.get("clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output", False)
    return bool(forced) or not isinstance(tokenizer.model, BPE)
