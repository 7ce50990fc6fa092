from __future__ import annotations

import logging
from typing import Any

import pytest
from tokenizers import Tokenizer

from zoo.errors import PreprocessorError


def test_it_is_the_tokenizer_that_the_gguf_was_made_of(tokenizer_of, byte_level_keys, byte_level, texts) -> None:
    ours: Tokenizer = tokenizer_of(byte_level_keys)
    assert ours.get_vocab() == byte_level.get_vocab()
    for text in texts:
        ids = byte_level.encode(text).ids
        assert ours.encode(text).ids == ids
        assert ours.decode(ids, skip_special_tokens=False) == text


def test_smollm_is_cut_as_in_its_own_tokenizer_json(side_file, byte_level_keys) -> None:
    parts = side_file(byte_level_keys, "tokenizer.json")
    assert parts["pre_tokenizer"] == {
        "type": "Sequence",
        "pretokenizers": [
            {"type": "Digits", "individual_digits": True},
            {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
        ],
    }
    assert parts["decoder"]["type"] == "ByteLevel"
    assert parts["post_processor"] is None


def test_special_and_user_defined_tokens_stay_whole(tokenizer_of, byte_level_keys, byte_level) -> None:
    tokens = [*byte_level_keys["tokenizer.ggml.tokens"], "<think>", "two words", "ünused"]
    types = [*byte_level_keys["tokenizer.ggml.token_type"], 4, 4, 5]
    ours = tokenizer_of(byte_level_keys | {"tokenizer.ggml.tokens": tokens, "tokenizer.ggml.token_type": types})
    count = len(tokens)
    encoding = ours.encode("<|start|>x<think>two words<|end|>ünused")
    assert encoding.ids[:4] == [0, ours.token_to_id("x"), count - 3, count - 2]
    assert encoding.ids[4] == 1
    assert count - 1 not in encoding.ids
    assert ours.decode(encoding.ids, skip_special_tokens=False) == "<|start|>x<think>two words<|end|>ünused"
    assert ours.decode(encoding.ids) == "x<think>two wordsünused"
    assert ours.get_vocab_size() == count


def test_the_tokens_that_ids_name_are_special_whatever_their_type(tokenizer_of, byte_level_keys) -> None:
    untyped = {key: value for key, value in byte_level_keys.items() if key != "tokenizer.ggml.token_type"}
    ours = tokenizer_of(untyped | {"tokenizer.ggml.eot_token_id": 7})
    assert [number for number, token in ours.get_added_tokens_decoder().items() if token.special] == [0, 1, 2, 7]


@pytest.mark.parametrize(
    ("flags", "expected"),
    [({}, []), ({"bos": True}, [0]), ({"eos": True}, [1]), ({"bos": True, "eos": True}, [0, 1])],
)
def test_begin_and_end_are_added_as_the_file_says(tokenizer_of, byte_level_keys, flags: dict, expected: list) -> None:
    keys = byte_level_keys | {f"tokenizer.ggml.add_{role}_token": value for role, value in flags.items()}
    encoding = tokenizer_of(keys).encode("x")
    assert [number for number in encoding.ids if number < 2] == expected
    assert encoding.special_tokens_mask.count(1) == len(expected)


def test_a_pair_of_texts_gets_begin_and_end_twice(tokenizer_of, byte_level_keys) -> None:
    keys = byte_level_keys | {"tokenizer.ggml.add_bos_token": True, "tokenizer.ggml.add_eos_token": True}
    encoding = tokenizer_of(keys).encode("x", "x")
    x = encoding.ids[1]
    assert encoding.ids == [0, x, 1, 0, x, 1]
    assert encoding.type_ids == [0, 0, 0, 1, 1, 1]


@pytest.mark.parametrize(("pre", "adds"), [("llama-bpe", True), ("tekken", True), ("gpt-2", False)])
def test_begin_is_added_by_default_where_the_rule_says_so(tokenizer_of, byte_level_keys, pre: str, adds: bool) -> None:
    keys = byte_level_keys | {"tokenizer.ggml.pre": pre}
    del keys["tokenizer.ggml.add_bos_token"]
    assert (tokenizer_of(keys).encode("x").ids[0] == 0) is adds


def test_llama3_keeps_words_that_are_tokens_whole(tokenizer_of, byte_level_keys) -> None:
    tokens = [*byte_level_keys["tokenizer.ggml.tokens"], "zqzq"]
    types = [*byte_level_keys["tokenizer.ggml.token_type"], 1]
    keys = byte_level_keys | {"tokenizer.ggml.tokens": tokens, "tokenizer.ggml.token_type": types}
    assert len(tokenizer_of(keys).encode("zqzq").ids) > 1
    assert tokenizer_of(keys | {"tokenizer.ggml.pre": "llama-bpe"}).encode("zqzq").tokens == ["zqzq"]


def test_a_merge_may_begin_with_a_space(tokenizer_of) -> None:
    keys = {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "gpt-2",
        "tokenizer.ggml.tokens": [" ", "a", " a", "b"],
        "tokenizer.ggml.merges": ["  a"],
    }
    assert tokenizer_of(keys).get_vocab_size() == 4


def test_an_empty_token_gets_a_name(tokenizer_of) -> None:
    keys = {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "gpt-2",
        "tokenizer.ggml.tokens": ["a", "", "b", "ab"],
        "tokenizer.ggml.merges": ["a b"],
    }
    assert tokenizer_of(keys).id_to_token(1) == "[EMPTY_1]"


def test_without_a_rule_the_default_is_taken_and_said(
    tokenizer_of, byte_level_keys, caplog: pytest.LogCaptureFixture
) -> None:
    keys = {key: value for key, value in byte_level_keys.items() if key != "tokenizer.ggml.pre"}
    with caplog.at_level(logging.WARNING, "zoo"):
        ours = tokenizer_of(keys)
    assert "no 'tokenizer.ggml.pre'" in caplog.text
    assert [piece for piece, _ in ours.pre_tokenizer.pre_tokenize_str("a1234.")] == ["a", "123", "4", "."]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"tokenizer.ggml.pre": "unheard-of"},
            "key 'tokenizer.ggml.pre': the rule 'unheard-of' is not known; known are",
        ),
        ({"tokenizer.ggml.pre": 7}, "key 'tokenizer.ggml.pre': found a number; text was expected"),
        ({"tokenizer.ggml.model": "t5"}, "key 'tokenizer.ggml.model': tokenizers of the kind 't5' are not read"),
        ({"tokenizer.ggml.tokens": None}, "key 'tokenizer.ggml.tokens': it is missing"),
        ({"tokenizer.ggml.tokens": "abc"}, "key 'tokenizer.ggml.tokens': found text; an array was expected"),
        (
            {"tokenizer.ggml.tokens": [1, 2]},
            "key 'tokenizer.ggml.tokens': each of its items is a number; text was expected",
        ),
        ({"tokenizer.ggml.tokens": ["a", "b", "a"]}, "the token 'a' is there twice, with ids 0 and 2"),
        ({"tokenizer.ggml.token_type": [1]}, r"key 'tokenizer.ggml.token_type': it has 1 items for \d+ tokens"),
        ({"tokenizer.ggml.merges": None}, "key 'tokenizer.ggml.merges': it is missing"),
        ({"tokenizer.ggml.merges": ["h e", "Qqq Zzz"]}, "item 1, 'Qqq Zzz', is not two tokens that make a third"),
        ({"tokenizer.ggml.merges": ["Th"]}, "item 0, 'Th', is not two tokens"),
        (
            {"tokenizer.ggml.eos_token_id": 10**6},
            "key 'tokenizer.ggml.eos_token_id': found 1000000, but there are only",
        ),
        (
            {"tokenizer.ggml.eos_token_id": True},
            "key 'tokenizer.ggml.eos_token_id': found true or false; a number was expected",
        ),
        (
            {"tokenizer.ggml.add_bos_token": 1},
            "key 'tokenizer.ggml.add_bos_token': found a number; true or false was expected",
        ),
        (
            {"tokenizer.ggml.add_bos_token": True, "tokenizer.ggml.bos_token_id": None},
            "key 'tokenizer.ggml.add_bos_token': it is true, but there is no 'tokenizer.ggml.bos_token_id'",
        ),
    ],
)
def test_what_can_not_be_used_is_refused_by_key(
    side_file, byte_level_keys, change: dict[str, Any], message: str
) -> None:
    keys = {key: value for key, value in (byte_level_keys | change).items() if value is not None}
    with pytest.raises(PreprocessorError, match=message) as caught:
        side_file(keys, "tokenizer.json")
    assert "model.gguf" in str(caught.value)
