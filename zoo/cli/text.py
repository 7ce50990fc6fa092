"""Text out of files and models, made harmless for a terminal.

Names in a checkpoint and what a model writes are others' data. An escape sequence in them could recolour, overwrite or
rename what is on the screen, and characters that reverse the direction could show a name that is not there.
"""

from __future__ import annotations

import re

__all__ = ["escaped", "escaped_lines", "without_controls"]

# C0 and C1 controls; marks, embeddings and isolates of direction; invisible operators, the byte-order mark, annotations
# and tags; line and paragraph separators; lone surrogates. Joiners stay: Persian and emoji are written with them.
_HARMFUL = (
    "\x00-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f"
    "\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f"
)
_ANY = re.compile(f"[{_HARMFUL}]")
_ANY_BUT_LAYOUT = re.compile(f"(?![\n\t])[{_HARMFUL}]")
_CONTROLS = re.compile("(?![\n\t])[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def escaped(text: str) -> str:
    r"""On one line, with everything that a terminal would act on written as an escape, e.g. `\x1b`."""
    return _ANY.sub(_escape, text)


def escaped_lines(text: str) -> str:
    """Like `escaped`, but line breaks and tabs stay."""
    return _ANY_BUT_LAYOUT.sub(_escape, text)


def without_controls(text: str) -> str:
    """A model's text without control characters other than line breaks and tabs."""
    return _CONTROLS.sub("", text)


def _escape(match: re.Match[str]) -> str:
    return ascii(match[0])[1:-1]
