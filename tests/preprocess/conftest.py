"""Small tokenizers of the kinds that language models have, trained here, in directories as the Hub has them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from zoo.checkpoint.files import DirectoryFiles
from zoo.preprocess import TextPreprocessor

CORPUS = [
    "The capital of France is Paris. Its river is the Seine; isn't it lovely?",
    "def add(a, b):\n    return a + b  # 12 + 34 = 46\n",
    "I'm sure we've met: don't you remember? They're here!",
    "Größe, naïve café, señor, Ångström, Łódź",
    "日本語のテキスト 中文文本 한국어 텍스트",
    "Привет, мир! Как дела? שלום עולם مرحبا بالعالم",
    "emoji 😀 👩‍👩‍👧 🇫🇷 and more 😀😀",
    "user assistant system tool hello world hello there",
]
CHATML = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")


def _byte_level() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=700,
        special_tokens=list(CHATML),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS * 3, trainer)
    return tokenizer


def _byte_fallback() -> Tokenizer:
    """As Llama 2's: SentencePiece's BPE, with a byte for what it does not know."""
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    specials = ["<unk>", "<s>", "</s>"]
    byte_tokens = [f"<0x{value:02X}>" for value in range(256)]
    trainer = trainers.BpeTrainer(
        vocab_size=700, special_tokens=[*specials, *byte_tokens], limit_alphabet=60, show_progress=False
    )
    tokenizer.train_from_iterator(CORPUS[:3] * 3, trainer)
    contents = json.loads(tokenizer.to_str())
    contents["added_tokens"] = [token for token in contents["added_tokens"] if token["content"] in specials]
    tokenizer = Tokenizer.from_str(json.dumps(contents))
    _begin_with(tokenizer, "<s>")
    return tokenizer


def _word_piece() -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(prefix="##", cleanup=False)
    trainer = trainers.WordPieceTrainer(
        vocab_size=500, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"], show_progress=False
    )
    tokenizer.train_from_iterator(CORPUS * 3, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(token, tokenizer.token_to_id(token)) for token in ("[CLS]", "[SEP]")],
    )
    return tokenizer


def _unigram() -> Tokenizer:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=300, special_tokens=["<unk>", "<s>", "</s>"], unk_token="<unk>", show_progress=False
    )
    tokenizer.train_from_iterator(CORPUS * 3, trainer)
    return tokenizer


def _begin_with(tokenizer: Tokenizer, token: str) -> None:
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{token} $A",
        pair=f"{token} $A {token}:1 $B:1",
        special_tokens=[(token, tokenizer.token_to_id(token))],
    )


@pytest.fixture(scope="session")
def trained() -> dict[str, str]:
    """The contents of tokenizer.json by kind."""
    with_beginning = _byte_level()
    _begin_with(with_beginning, "<|im_start|>")
    return {
        "byte-level": _byte_level().to_str(),
        "byte-level-bos": with_beginning.to_str(),
        "byte-fallback": _byte_fallback().to_str(),
        "word-piece": _word_piece().to_str(),
        "unigram": _unigram().to_str(),
    }


@pytest.fixture
def write_tokenizer(trained: dict[str, str], tmp_path: Path) -> Callable[..., Path]:
    """Write a tokenizer's directory. kind: of `trained`. edit: changes the contents of tokenizer.json.

    settings: tokenizer_config.json. files: other files by name, as text or as JSON.
    """

    def write(
        kind: str,
        settings: dict[str, Any] | None = None,
        *,
        files: dict[str, Any] | None = None,
        edit: Callable[[dict[str, Any]], None] | None = None,
        directory: str = "model",
    ) -> Path:
        target = tmp_path / directory
        target.mkdir()
        contents = json.loads(trained[kind])
        if edit is not None:
            edit(contents)
        everything = {"tokenizer.json": contents, **(files or {})}
        if settings is not None:
            everything["tokenizer_config.json"] = settings
        for name, value in everything.items():
            path = target / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8", newline="")
        return target

    return write


@pytest.fixture
def load() -> Callable[[Path], TextPreprocessor]:
    """The preprocessor of a directory."""

    def load(directory: Path) -> TextPreprocessor:
        config = directory / "config.json"
        contents = json.loads(config.read_text()) if config.is_file() else {}
        preprocessor = TextPreprocessor.from_files(DirectoryFiles(directory), contents)
        assert preprocessor is not None
        return preprocessor

    return load
