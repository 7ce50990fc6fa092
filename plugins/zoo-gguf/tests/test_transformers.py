"""The side files, saved, as transformers reads them; beside what transformers makes of the GGUF itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from zoo.checkpoint.files import ModelFiles
from zoo_gguf.reader import open_file

TEXTS = [
    "The capital of France is",
    "Hello, world! It isn't 2024; 12,345.67 % of it's we'll",
    "def f(x):\n    return x ** 2\n\n\n\t# naïve café 日本語 🤗🤗 ½ ²",
    "a  b   c \r\n\r\n  ",
    "x",
]


@pytest.fixture
def load_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[ModelFiles], Any]:
    """The tokenizer that transformers loads from a directory with the files."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    transformers = pytest.importorskip("transformers")

    def load(files: ModelFiles) -> Any:
        directory = tmp_path / "saved"
        directory.mkdir()
        (directory / "config.json").write_text(json.dumps({"model_type": "llama"}))
        for name in files.names():
            (directory / name).write_bytes(files.read(name) or b"")
        return transformers.AutoTokenizer.from_pretrained(directory)

    return load


def test_a_vocabulary_of_sentencepiece(load_saved, write_gguf) -> None:
    letters = "▁abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789,.;:'%*()\n"
    words = ["▁t", "he", "▁the", "▁c", "▁ca", "it", "al", "▁capital", "pit", "▁is", "is", "▁F", "an", "ce", "▁▁", "ll"]
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), *words, *letters]
    path = write_gguf(
        {
            "tokenizer.ggml.model": "llama",
            "tokenizer.ggml.tokens": tokens,
            "tokenizer.ggml.scores": [0.0] * 259 + [-float(rank) for rank in range(len(tokens) - 259)],
            "tokenizer.ggml.token_type": [2, 3, 3] + [6] * 256 + [1] * (len(tokens) - 259),
            "tokenizer.ggml.bos_token_id": 1,
            "tokenizer.ggml.eos_token_id": 2,
            "tokenizer.ggml.unknown_token_id": 0,
            "tokenizer.ggml.padding_token_id": 0,
            "llama.block_count": 1,
            "llama.context_length": 64,
            "llama.embedding_length": 8,
            "llama.attention.head_count": 2,
        }
    )
    ours = load_saved(open_file(path).side_files)
    from transformers.integrations.gguf import convert_gguf_tokenizer, get_gguf_tokenizer

    architecture, description, _ = get_gguf_tokenizer(str(path))
    theirs, _ = convert_gguf_tokenizer(architecture, description)
    assert len(ours) == len(tokens)
    assert ours.model_max_length == 64
    for text in TEXTS:
        ids = theirs.encode(text, add_special_tokens=False).ids
        assert ours(text)["input_ids"] == [1, *ids]
        assert ours.decode(ids) == text


@pytest.mark.real
def test_the_real_tokenizer(load_saved, smollm2_gguf: Path) -> None:
    from tokenizers import pre_tokenizers

    files = open_file(smollm2_gguf).side_files
    ours = load_saved(files)
    from transformers import AutoTokenizer

    theirs = AutoTokenizer.from_pretrained(smollm2_gguf.parent, gguf_file=smollm2_gguf.name)
    # transformers has no rule named "smollm" and takes GPT-2's. The model's own tokenizer.json cuts off digits first.
    theirs.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    assert ours.get_vocab() == theirs.get_vocab()
    assert ours.added_tokens_decoder == theirs.added_tokens_decoder
    assert ours.chat_template == theirs.chat_template
    for role in ("bos", "eos", "unk", "pad"):
        assert getattr(ours, f"{role}_token") == getattr(theirs, f"{role}_token")
        assert getattr(ours, f"{role}_token_id") == getattr(theirs, f"{role}_token_id")
    chat = [{"role": "user", "content": "What is 12 + 345?"}]
    prompt = ours.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    assert prompt == theirs.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    for text in [*TEXTS, prompt, json.dumps(ours.added_tokens_encoder)]:
        ids = ours(text)["input_ids"]
        assert ids == theirs(text)["input_ids"]
        assert ours.decode(ids) == text
