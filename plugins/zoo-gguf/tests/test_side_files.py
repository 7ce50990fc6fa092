from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from zoo.errors import PreprocessorError
from zoo_gguf.reader import open_file

KEYS: dict[str, Any] = {
    "llama.context_length": 2048,
    "tokenizer.ggml.model": "gpt2",
    "tokenizer.ggml.pre": "gpt-2",
    "tokenizer.ggml.tokens": ["a", "b", "ab", "<s>", "<e>", "<t>", "<m>", "<x>"],
    "tokenizer.ggml.token_type": [1, 1, 1, 3, 3, 3, 3, 4],
    "tokenizer.ggml.merges": ["a b"],
    "tokenizer.ggml.bos_token_id": 3,
    "tokenizer.ggml.eos_token_id": 4,
    "tokenizer.ggml.padding_token_id": 4,
    "tokenizer.chat_template": "{{ messages }}\n{# ünchanged #}",
}


@pytest.fixture
def read(write_gguf: Callable[..., Path]) -> Callable[..., Any]:
    def side_file(name: str, **changes: Any) -> Any:
        keys = KEYS | {f"tokenizer.{key.replace('__', '.')}": value for key, value in changes.items()}
        files = open_file(write_gguf({key: value for key, value in keys.items() if value is not None})).side_files
        content = files.read(name)
        return json.loads(content) if content is not None and name.endswith(".json") else content

    return side_file


def test_the_files_are_those_that_the_file_tells_of(write_gguf) -> None:
    def names(keys: dict[str, Any]) -> tuple[str, ...]:
        return open_file(write_gguf(keys)).side_files.names()

    tokenizer = ("generation_config.json", "special_tokens_map.json", "tokenizer.json", "tokenizer_config.json")
    assert names(KEYS) == ("chat_template.jinja", *tokenizer)
    assert names({"tokenizer.ggml.model": "gpt2"}) == tokenizer
    assert names({"tokenizer.ggml.model": "none"}) == ()
    assert names({}) == ()


def test_the_chat_template_is_as_it_was(read) -> None:
    assert read("chat_template.jinja") == KEYS["tokenizer.chat_template"].encode()
    with pytest.raises(PreprocessorError, match=r"key 'tokenizer\.chat_template': found int"):
        read("chat_template.jinja", chat_template=7)


def test_the_tokenizer_config_is_what_transformers_reads(read) -> None:
    config = read("tokenizer_config.json", ggml__add_bos_token=True)
    added = config.pop("added_tokens_decoder")
    assert config == {
        "add_bos_token": True,
        "add_eos_token": False,
        "bos_token": "<s>",
        "clean_up_tokenization_spaces": False,
        "eos_token": "<e>",
        "model_max_length": 2048,
        "pad_token": "<e>",
        "tokenizer_class": "PreTrainedTokenizerFast",
    }
    assert {int(number): (token["content"], token["special"]) for number, token in added.items()} == {
        3: ("<s>", True),
        4: ("<e>", True),
        5: ("<t>", True),
        6: ("<m>", True),
        7: ("<x>", False),
    }


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        ({}, 4),
        ({"ggml__eot_token_id": 5}, [4, 5]),
        ({"ggml__eot_token_id": 4}, 4),
        ({"ggml__eot_token_id": 5, "ggml__eom_token_id": 6}, [4, 5, 6]),
    ],
)
def test_every_token_that_ends_a_turn_ends_generation(read, ids: dict[str, int], expected: Any) -> None:
    assert read("generation_config.json", **ids) == {"bos_token_id": 3, "eos_token_id": expected, "pad_token_id": 4}


def test_what_the_file_does_not_name_is_left_out(read) -> None:
    none = {f"ggml__{role}_token_id": None for role in ("bos", "eos", "padding")}
    assert read("generation_config.json", **none) == {}
    assert read("special_tokens_map.json", **none) == {}


def test_a_tokenizer_that_can_not_be_expressed_still_lets_the_checkpoint_open(read, write_gguf) -> None:
    checkpoint = open_file(write_gguf(KEYS | {"tokenizer.ggml.model": "bert"}))
    assert checkpoint.side_files.read("generation_config.json") is not None
    with pytest.raises(PreprocessorError, match="'bert' are not read; known are gpt2, llama"):
        checkpoint.side_files.read("tokenizer.json")
