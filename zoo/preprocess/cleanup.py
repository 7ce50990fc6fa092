"""The Hub's clean-up of spaces around English punctuation, which some WordPiece tokenizers ask for."""

from __future__ import annotations

__all__ = ["clean_up_spaces", "settled_length"]

_REPLACEMENTS = (
    (" .", "."),
    (" ?", "?"),
    (" !", "!"),
    (" ,", ","),
    (" ' ", "'"),
    (" n't", "n't"),
    (" 'm", "'m"),
    (" 's", "'s"),
    (" 've", "'ve"),
    (" 're", "'re"),
)


def clean_up_spaces(text: str) -> str:
    """The replacements of `clean_up_tokenization_spaces`, in the reference's order."""
    for found, replacement in _REPLACEMENTS:
        text = text.replace(found, replacement)
    return text


def settled_length(text: str) -> int:
    """How much of a text can be cleaned apart from the rest and from whatever follows it.

    Every replacement begins at a space, and only " ' " holds a second one; but what one replacement joins, a later one
    may find: "do n ' t" becomes "do n't", then "don't". So a text may be cut before a space, unless a space, an
    apostrophe or an n stands there.
    """
    cut = text.rfind(" ")
    while cut > 0 and text[cut - 1] in " 'n":
        cut = text.rfind(" ", 0, cut)
    return max(cut, 0)
