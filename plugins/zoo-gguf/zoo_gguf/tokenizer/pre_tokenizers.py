"""How text is cut into words before byte pairs are merged: the rules that `tokenizer.ggml.pre` names.

The names, and which of them share a rule, are llama.cpp's (`src/llama-vocab.cpp`); a rule is written as in the
`tokenizer.json` that llama.cpp took it from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

__all__ = ["PRE_TOKENIZERS", "PreTokenizer"]


@dataclass(frozen=True, kw_only=True, slots=True)
class PreTokenizer:
    """A rule. steps: the parts of a `Sequence` pre-tokenizer in tokenizer.json.

    ignore_merges: a word that is a token stays whole, whatever the merges say.
    adds_bos: texts begin with the token for begin, unless the file says otherwise.
    """

    steps: tuple[Mapping[str, Any], ...]
    ignore_merges: bool = False
    adds_bos: bool = False


def _byte_level(*, cuts: bool) -> dict[str, Any]:
    """Bytes to printable characters; cuts: by GPT-2's expression first."""
    return {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": cuts}


def _split(pattern: str) -> dict[str, Any]:
    """Each match of the pattern, and what is between matches, is a word."""
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}


def _splits(*patterns: str) -> tuple[Mapping[str, Any], ...]:
    return (*map(_split, patterns), _byte_level(cuts=False))


_DIGITS = {"type": "Digits", "individual_digits": True}

_CONTRACTION = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_SPACES = r"\s*[\r\n]+|\s+(?!\S)|\s+"
_WORD = r"[^\r\n\p{L}\p{N}]?\p{L}+"
_SYMBOLS = r" ?[^\s\p{L}\p{N}]+[\r\n]*"
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_CASED_WORD = (rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+", rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*")
_PATHS = rf" ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|{_SPACES}"

_GPT2_PATTERN = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_LLAMA3_PATTERN = rf"{_CONTRACTION}|{_WORD}|\p{{N}}{{1,3}}|{_SYMBOLS}|{_SPACES}"
_QWEN2_PATTERN = rf"{_CONTRACTION}|{_WORD}|\p{{N}}|{_SYMBOLS}|{_SPACES}"
_BLOOM_PATTERN = r" ?[^(\s|.,!?" + "\u2026\u3002\uff0c\u3001\u0964\u06d4\u060c" + ")]+"
_DEEPSEEK3_PATTERN = (
    r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"
    rf"| ?[\p{{P}}\p{{S}}]+[\r\n]*|{_SPACES}"
)

_DEFAULT = PreTokenizer(steps=_splits(r"[\p{P}\$\+<=>\^~\|]+", _GPT2_PATTERN, r"\p{N}+", "[0-9][0-9][0-9]"))
_GPT2 = PreTokenizer(steps=(_byte_level(cuts=True),))
_SMOLLM = PreTokenizer(steps=(_DIGITS, _byte_level(cuts=True)))
_LLAMA3 = PreTokenizer(steps=_splits(_LLAMA3_PATTERN), ignore_merges=True, adds_bos=True)
_SMAUG = PreTokenizer(steps=_splits(_LLAMA3_PATTERN))
_QWEN2 = PreTokenizer(steps=_splits(_QWEN2_PATTERN))
_GPT4O = PreTokenizer(
    steps=_splits("|".join(f"{word}{_CONTRACTION}?" for word in _CASED_WORD) + r"|\p{N}{1,3}|" + _PATHS)
)
_BLOOM = PreTokenizer(steps=_splits(_BLOOM_PATTERN))
_DEEPSEEK3 = PreTokenizer(
    steps=_splits(r"\p{N}{1,3}", "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+", _DEEPSEEK3_PATTERN)
)

_RULES: Mapping[tuple[str, ...], PreTokenizer] = {
    ("default",): _DEFAULT,
    ("gpt-2", "phi-2", "jina-es", "jina-de", "jina-v2-es", "jina-v2-de", "gigachat", "a.x-4.0", "mellum"): _GPT2,
    ("modern-bert", "mpt", "olmo", "jais", "trillion", "granite-docling", "exaone4"): _GPT2,
    ("smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b", "mellum2"): _SMOLLM,
    ("llama3", "llama-v3", "llama-bpe", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2", "jina-v5-nano"): _LLAMA3,
    ("smaug-bpe", "dbrx", "glm4", "chatglm-bpe"): _SMAUG,
    ("qwen2", "deepseek-r1-qwen", "kormo", "f2llmv2", "megrez", "stablelm2", "hunyuan", "solar-open", "grok-2"): _QWEN2,
    ("gpt-4o", "llama4", "kanana2", "talkie", "minimax-m2"): _GPT4O,
    ("poro-chat", "bloom", "gpt3-finnish"): _BLOOM,
    ("deepseek-v3", "hunyuan-dense", "joyai-llm", "hy_v4"): _DEEPSEEK3,
    ("qwen35",): PreTokenizer(
        steps=_splits(
            rf"{_CONTRACTION}|[^\r\n\p{{L}}\p{{N}}]?[\p{{L}}\p{{M}}]+|\p{{N}}"
            rf"| ?[^\s\p{{L}}\p{{M}}\p{{N}}]+[\r\n]*|{_SPACES}"
        )
    ),
    ("tekken",): PreTokenizer(
        steps=_splits("|".join(_CASED_WORD) + r"|\p{N}|" + _PATHS), ignore_merges=True, adds_bos=True
    ),
    ("minicpm5",): PreTokenizer(
        steps=_splits(r"\p{N}{1,3}", rf"{_CONTRACTION}|{_WORD}|\p{{N}}+|{_SYMBOLS}|{_SPACES}"), ignore_merges=True
    ),
    ("seed-coder",): PreTokenizer(
        steps=_splits(rf"{_CONTRACTION}|{_WORD}|\p{{N}}| ?[^\s\p{{L}}\p{{N}}\r\n]+|{_SPACES}")
    ),
    ("falcon",): PreTokenizer(steps=_splits(r"[\p{P}\$\+<=>\^~\|`]+", _GPT2_PATTERN, "[0-9][0-9][0-9]")),
    ("viking",): PreTokenizer(steps=(_split(_BLOOM_PATTERN), _DIGITS, _byte_level(cuts=False))),
    ("deepseek-coder",): PreTokenizer(
        steps=(
            *map(_split, (r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+")),
            _DIGITS,
            _byte_level(cuts=False),
        )
    ),
}

PRE_TOKENIZERS: Mapping[str, PreTokenizer] = MappingProxyType(
    {name: rule for names, rule in _RULES.items() for name in names}
)
"""The rules by the names that `tokenizer.ggml.pre` has for them."""
