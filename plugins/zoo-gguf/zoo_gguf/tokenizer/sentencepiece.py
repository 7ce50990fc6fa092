"""tokenizer.json for the model "llama": SentencePiece's byte-pair encoding, with bytes for what has no token.

SentencePiece keeps a score for each token, and merges the pair whose union scores highest. `tokenizers` wants the list
of pairs in order, which is found back from the scores, as the Hub's own conversion of Llama's tokenizer did.
"""

from __future__ import annotations

from typing import Any

from zoo.checkpoint.describe import quoted
from zoo_gguf.tokenizer.vocabulary import TokenType, Vocabulary

__all__ = ["sentencepiece_parts"]

_SPACE = "\N{LOWER ONE EIGHTH BLOCK}"
_LONGEST_TOKEN = 512
"""Characters. A token is tried at every cut, each of which makes two texts of it."""

_NEVER_MERGED = (TokenType.UNKNOWN, TokenType.CONTROL, TokenType.BYTE)


def sentencepiece_parts(vocabulary: Vocabulary) -> dict[str, Any]:
    """The parts of tokenizer.json that depend on the model."""
    prefixes = vocabulary.value("add_space_prefix", bool) is not False
    prepend = [{"type": "Prepend", "prepend": _SPACE}] if prefixes else []
    strip = [{"type": "Strip", "content": " ", "start": 1, "stop": 0}] if prefixes else []
    escape = {"type": "Replace", "pattern": {"String": " "}, "content": _SPACE}
    unescape = {"type": "Replace", "pattern": {"String": _SPACE}, "content": " "}
    merges = vocabulary.merges
    return {
        # As in llama.cpp, each stretch of text between special tokens gets the prefix, even where it begins with one.
        "normalizer": {"type": "Sequence", "normalizers": [*prepend, escape]},
        "pre_tokenizer": None,
        "decoder": {"type": "Sequence", "decoders": [unescape, {"type": "ByteFallback"}, {"type": "Fuse"}, *strip]},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": vocabulary.special_token("unk"),
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": True,
            "byte_fallback": TokenType.BYTE in vocabulary.types,
            "ignore_merges": False,
            "vocab": vocabulary.ids,
            "merges": _merges_from_scores(vocabulary) if merges is None else merges,
        },
    }


def _merges_from_scores(vocabulary: Vocabulary) -> list[tuple[str, str]]:
    """Every way to make a token of two: the highest score first, then the longest pieces, then the lowest id."""
    scores = vocabulary.scores
    if scores is None:
        raise vocabulary.error("scores", "it is missing, and there is no 'tokenizer.ggml.merges' either.")
    ids = vocabulary.ids
    ranked = []
    for token, score, kind in zip(vocabulary.tokens, scores, vocabulary.types, strict=True):
        if kind in _NEVER_MERGED:
            continue
        if len(token) > _LONGEST_TOKEN:
            raise vocabulary.error(
                "tokens",
                f"{quoted(token)} is too long for a token; at most {_LONGEST_TOKEN} characters were expected.",
            )
        for cut in range(1, len(token)):
            left, right = token[:cut], token[cut:]
            if left in ids and right in ids:
                ranked.append((-score, -len(left), -len(right), ids[token], left, right))
    ranked.sort()
    return [(left, right) for *_, left, right in ranked]
