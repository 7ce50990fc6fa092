"""The rules for cutting text, beside llama.cpp's own expressions applied as in llama.cpp by another regex engine."""

from __future__ import annotations

import json
from collections.abc import Iterable

import pytest
import regex
from tokenizers import Tokenizer
from tokenizers.pre_tokenizers import PreTokenizer

from zoo_gguf.tokenizer.pre_tokenizers import PRE_TOKENIZERS

CONTRACTIONS = "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])"
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)"
LLAMA3 = (
    rf"{CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}{{1,3}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN2 = LLAMA3.replace("{1,3}", "")
DEEPSEEK3 = (
    r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"
    r"| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
HAN_AND_KANA = "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+"
EAST_ASIAN = "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+"
BLOOM = " ?[^(\\s|.,!?\u2026\u3002\uff0c\u3001\u0964\u06d4\u060c)]+"

LLAMA_CPP = {
    "default": [r"[\p{P}\$\+<=>\^~\|]+", GPT2, r"\p{N}+", "[0-9][0-9][0-9]"],
    "gpt-2": [GPT2],
    "smollm": [r"\p{N}", GPT2],
    "llama-bpe": [LLAMA3],
    "smaug-bpe": [LLAMA3],
    "qwen2": [QWEN2],
    "qwen35": [
        rf"{CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?[\p{{L}}\p{{M}}]+|\p{{N}}"
        r"| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    ],
    "minicpm5": [r"\p{N}{1,3}", LLAMA3.replace("{1,3}", "+")],
    "seed-coder": [
        rf"{CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}{{1}}| ?[^\s\p{{L}}\p{{N}}\r\n]+"
        r"|\s*[\r\n]+|\s+(?!\S)|\s+"
    ],
    "falcon": [r"[\p{P}\$\+<=>\^~\|`]+", GPT2, "[0-9][0-9][0-9]"],
    "bloom": [BLOOM],
    "viking": [BLOOM, r"\p{N}"],
    "deepseek-coder": [r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", EAST_ASIAN, r"\p{N}"],
    "deepseek-v3": [r"\p{N}{1,3}", HAN_AND_KANA, DEEPSEEK3],
}


def cut(text: str, expressions: Iterable[str]) -> list[str]:
    """Each expression cuts each piece that the one before it left into its matches and what is between them."""
    pieces = [text]
    for expression in expressions:
        smaller = []
        for piece in pieces:
            end = 0
            for match in regex.finditer(expression, piece):
                smaller += [piece[end : match.start()], match.group()]
                end = match.end()
            smaller.append(piece[end:])
        pieces = [piece for piece in smaller if piece]
    return pieces


def build(name: str) -> PreTokenizer:
    content = {
        "version": "1.0",
        "added_tokens": [],
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": list(PRE_TOKENIZERS[name].steps)},
        "model": {"type": "BPE", "vocab": {}, "merges": []},
    }
    return Tokenizer.from_str(json.dumps(content)).pre_tokenizer


@pytest.mark.parametrize("name", LLAMA_CPP)
def test_text_is_cut_as_in_llama_cpp(name: str, texts: list[str]) -> None:
    ours = build(name)
    for text in texts:
        pieces = [text[start:end] for _, (start, end) in ours.pre_tokenize_str(text)]
        assert pieces == cut(text, LLAMA_CPP[name]), repr(text)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("tekken", ["Hello", "World", "'s", " ", "1", "2", " /", "tmp", "\n"]),
        ("gpt-4o", ["Hello", "World's", " ", "12", " /", "tmp", "\n"]),
    ],
)
def test_cased_words_are_cut_before_a_capital(name: str, expected: list[str]) -> None:
    text = "HelloWorld's 12 /tmp\n"
    assert [text[start:end] for _, (start, end) in build(name).pre_tokenize_str(text)] == expected


@pytest.mark.parametrize("name", PRE_TOKENIZERS)
def test_no_rule_loses_a_character(name: str, texts: list[str]) -> None:
    ours = build(name)
    for text in texts[::10]:
        assert "".join(text[start:end] for _, (start, end) in ours.pre_tokenize_str(text)) == text
