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
_CONTROLS = "\x00-\x1f\x7f-\x9f\ud800-\udfff"
_NO_LAYOUT = "(?![\n\t])"


def escaped(text: str) -> str:
    r"""On one line, with everything that a terminal would act on written as an escape, e.g. `\x1b`."""
    # Nothing that is printable is harmful, and patterns of this size take a while to compile.
    return text if text.isprintable() else re.sub(f"[{_HARMFUL}]", _escape, text)


def escaped_lines(text: str) -> str:
    """Like `escaped`, but line breaks and tabs stay."""
    return re.sub(f"{_NO_LAYOUT}[{_HARMFUL}]", _escape, text)


def without_controls(text: str) -> str:
    """A model's text without control characters other than line breaks and tabs."""
    return text if text.isprintable() else re.sub(f"{_NO_LAYOUT}[{_CONTROLS}]", "", text)


def _escape(match: re.Match[str]) -> str:
    return ascii(match[0])[1:-1]
