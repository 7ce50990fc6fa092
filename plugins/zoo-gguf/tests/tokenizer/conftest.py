"""Tokenizers that are trained for the tests, and the GGUF files that llama.cpp's converter would make of them."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

CORPUS = [
    "The quick brown fox jumps over the lazy dog. It isn't 1234 times; they're we'll I'd 'tis!",
    "def function(argument):\n    return argument ** 2  # comment\n\n\n",
    "Größe, naïve café, Ελληνικά, кириллица, 日本語 テキスト, 한국어, emoji 🤗🤗 ½ ² Ⅷ",
    "<|user|>\nHello there, hello there!<|end|>\n   indented   text\t\ttabs 00 11 22 333 4444",
] * 20

ALPHABET = "abc dehlortT THE'\"sS.,;!?-_/()[]{}<|>#*=+~^$`\n\r\t  0123456789éüßñ日本語ア한Жя🤗½²\u00a0\u0301"


@pytest.fixture(scope="session")
def texts() -> list[str]:
    """Texts that are hard to cut."""
    generator = random.Random(0)
    made = ["".join(generator.choices(ALPHABET, k=generator.randint(1, 40))) for _ in range(400)]
    return [*made, *CORPUS[:4], "", " ", "  ", "\n", "a", " a", "a ", "123", " 123", "1 2", "'s", "don't", "\r\n\r\n"]


@pytest.fixture(scope="session")
def byte_level() -> Tokenizer:
    """Byte-level byte pairs, with SmolLM's rule for cutting."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        show_progress=False,
        special_tokens=["<|start|>", "<|end|>", "<unk>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    return tokenizer


@pytest.fixture
def byte_level_keys(byte_level: Tokenizer) -> dict[str, Any]:
    """The key-values for `byte_level`."""
    model = json.loads(byte_level.to_str())["model"]
    tokens = sorted(model["vocab"], key=model["vocab"].__getitem__)
    return {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "smollm",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": [3] * 3 + [1] * (len(tokens) - 3),
        "tokenizer.ggml.merges": [" ".join(pair) for pair in model["merges"]],
        "tokenizer.ggml.bos_token_id": 0,
        "tokenizer.ggml.eos_token_id": 1,
        "tokenizer.ggml.unknown_token_id": 2,
        "tokenizer.ggml.padding_token_id": 1,
        "tokenizer.ggml.add_bos_token": False,
    }


@pytest.fixture
def sentencepiece_keys() -> dict[str, Any]:
    """The key-values of a vocabulary as SentencePiece makes it: <unk>, <s>, </s>, bytes, pairs by score, letters."""
    tokenizer = Tokenizer(models.BPE())
    trainer = trainers.BpeTrainer(vocab_size=500, show_progress=False, limit_alphabet=70)
    tokenizer.train_from_iterator([text.replace(" ", "▁") for text in CORPUS], trainer)
    vocabulary = json.loads(tokenizer.to_str())["model"]["vocab"]
    pieces = sorted(vocabulary, key=vocabulary.__getitem__)
    joined = [piece for piece in pieces if len(piece) > 1]
    letters = [piece for piece in pieces if len(piece) == 1]
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), *joined, *letters]
    return {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.scores": [0.0] * 259 + [-float(rank) for rank in range(len(tokens) - 259)],
        "tokenizer.ggml.token_type": [2, 3, 3] + [6] * 256 + [1] * (len(tokens) - 259),
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
        "tokenizer.ggml.unknown_token_id": 0,
    }


@pytest.fixture
def side_file(write_gguf: Callable[..., Path]) -> Callable[..., Any]:
    """The contents of a side file of a GGUF with these key-values; of a JSON file, parsed."""
    from zoo_gguf.reader import open_file

    def read(keys: dict[str, Any], name: str) -> Any:
        content = open_file(write_gguf(keys)).side_files.read(name)
        if content is None or not name.endswith(".json"):
            return content
        return json.loads(content)

    return read


@pytest.fixture
def tokenizer_of(side_file: Callable[..., Any]) -> Callable[[dict[str, Any]], Tokenizer]:
    """The tokenizer that a GGUF with these key-values describes."""

    def build(keys: dict[str, Any]) -> Tokenizer:
        return Tokenizer.from_str(json.dumps(side_file(keys, "tokenizer.json")))

    return build
