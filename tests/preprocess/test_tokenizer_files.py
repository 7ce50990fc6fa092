from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from zoo.checkpoint.files import EMPTY_FILES, DirectoryFiles, MemoryFiles
from zoo.errors import PreprocessorError
from zoo.preprocess import TextPreprocessor

Write = Callable[..., Path]
Load = Callable[[Path], TextPreprocessor]


def test_no_files_make_no_preprocessor(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"")
    assert TextPreprocessor.from_files(DirectoryFiles(tmp_path), {}) is None
    assert TextPreprocessor.from_files(EMPTY_FILES, {}) is None


@pytest.mark.parametrize("names", [("tokenizer.model",), ("vocab.json", "merges.txt"), ("tokenizer_config.json",)])
def test_another_vocabulary_is_not_enough(names: tuple[str, ...]) -> None:
    with pytest.raises(PreprocessorError) as failure:
        TextPreprocessor.from_files(MemoryFiles("somewhere", dict.fromkeys(names, b"{}")), {})
    assert str(failure.value) == (
        f"somewhere: there is {', '.join(names)}, but no tokenizer.json, which is what zoo reads.\n"
        "Make it with transformers: AutoTokenizer.from_pretrained(directory).save_pretrained(directory)."
    )


@pytest.mark.parametrize("content", [b"", b"{", b"{}", b"[]", b"\xff\xfe", b'{"model": {"type": "BPE", "vocab": 5}}'])
def test_a_broken_tokenizer_is_named_with_the_reason(content: bytes) -> None:
    with pytest.raises(
        PreprocessorError, match=r"^somewhere: tokenizer\.json: the tokenizers library can't read it: \w"
    ):
        TextPreprocessor.from_files(MemoryFiles("somewhere", {"tokenizer.json": content}), {})


def test_a_truncated_tokenizer_is_named(trained: dict[str, str]) -> None:
    content = trained["byte-fallback"].encode()
    files = MemoryFiles("here", {"tokenizer.json": content[: len(content) // 2]})
    with pytest.raises(PreprocessorError, match=r"here: tokenizer\.json: .*EOF"):
        TextPreprocessor.from_files(files, {})


TOKEN = {"content": "<x>", "special": True}


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("tokenizer_config.json", "{", r"tokenizer_config\.json is not valid JSON"),
        ("tokenizer_config.json", "[]", r"tokenizer_config\.json: expected an object, found the array"),
        ("special_tokens_map.json", "nonsense", r"special_tokens_map\.json is not valid JSON"),
        ("tokenizer_config.json", {"eos_token": 5}, "field 'eos_token': a token was expected.* found 5"),
        ("tokenizer_config.json", {"pad_token": {"text": "x"}}, "field 'pad_token'"),
        ("tokenizer_config.json", {"bos_token": {"content": "x", "lstrip": "no"}}, "field 'bos_token'"),
        ("tokenizer_config.json", {"added_tokens_decoder": []}, "'added_tokens_decoder': an object was expected"),
        ("tokenizer_config.json", {"added_tokens_decoder": {"x": TOKEN}}, "token ids with an object each"),
        ("tokenizer_config.json", {"added_tokens_decoder": {"1": "<x>"}}, "token ids with an object each"),
        ("tokenizer_config.json", {"extra_special_tokens": "<x>"}, "a list or an object was expected; found str"),
        ("tokenizer_config.json", {"additional_special_tokens": ["<x>", 1]}, r"'extra_special_tokens'\[1\]"),
        ("tokenizer_config.json", {"extra_special_tokens": {"a": 1}}, r"'extra_special_tokens'\['a'\]"),
        ("tokenizer_config.json", {"chat_template": 5}, "field 'chat_template'.*found int"),
        ("tokenizer_config.json", {"chat_template": [{"name": "x"}]}, "field 'chat_template'"),
        ("tokenizer_config.json", {"chat_template": ["x"]}, "found str"),
        ("added_tokens.json", {"<x>": "1"}, r"added_tokens\.json: '<x>': a token id was expected; found '1'"),
        ("chat_template.jinja", b"\xff", r"chat_template\.jinja is not UTF-8"),
    ],
)
def test_what_is_wrong_is_named(name: str, content: Any, complaint: str, trained: dict[str, str]) -> None:
    if not isinstance(content, bytes):
        content = (content if isinstance(content, str) else json.dumps(content)).encode()
    files = MemoryFiles("somewhere", {"tokenizer.json": trained["byte-level"].encode(), name: content})
    with pytest.raises(PreprocessorError, match=f"^somewhere: .*{complaint}"):
        TextPreprocessor.from_files(files, {})


def test_tokens_may_be_objects_without_a_type(write_tokenizer: Write, load: Load) -> None:
    """As special_tokens_map.json has them, whose spelling is found in tokenizer_config.json too."""
    preprocessor = load(write_tokenizer("byte-level", {"pad_token": {"content": "<pad>", "lstrip": True}}))
    pad = preprocessor.pad_token_id
    assert pad in preprocessor.special_token_ids
    assert preprocessor.encode("a  <pad>", add_special_tokens=False) == [*preprocessor.encode("a"), pad]
