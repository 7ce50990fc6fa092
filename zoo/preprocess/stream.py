"""Decoding token by token: the text of a stream, each piece as soon as nothing that follows can change it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from zoo.preprocess.cleanup import clean_up_spaces, settled_length

__all__ = ["StreamDecoder"]

_REPLACEMENT = "\ufffd"  # what decoders write for bytes that make no character, or not yet
_GARBAGE = 16  # more of them in a row than an unfinished character can cause
_UNFINISHED = 4  # of these, the last that may still be one: UTF-8 takes at most four bytes
_LONGEST_WINDOW = 64
_SHORT_WINDOW = 16


class StreamDecoder:
    """Turns ids into pieces of text whose concatenation is what `decode` gives for all of them.

    Only a window is decoded at each step: the tokens whose text is not settled, after those before them, which the
    decoder needs to place spaces. So a step costs the same at the end of a long text as at its beginning. Ids that add
    nothing (`skipped`) never enter the window, so that it always begins with visible text; otherwise decoders that
    strip the first space would strip one in the middle.
    """

    def __init__(
        self, decode: Callable[[Sequence[int]], str], *, skipped: Callable[[int], bool], clean_up: bool = False
    ) -> None:
        """decode: the tokenizer's own, without clean-up. skipped: whether an id adds nothing to a text."""
        self._decode = decode
        self._skipped = skipped
        self._clean_up = clean_up
        self._window: list[int] = []
        self._context = 0  # how many ids at the front of the window are settled
        self._given = 0  # how many characters of the window's text have been given out
        self._uncleaned = ""

    def push(self, token_id: int) -> str:
        """The text that this token settles; often empty."""
        if self._skipped(token_id):
            return ""
        self._window.append(token_id)
        text = self._decode(self._window)
        settled = _settled(text)
        piece = text[self._given : settled]
        self._given = max(self._given, settled)
        if piece and settled == len(text):
            self._shorten(self._context)
        elif len(self._window) > _LONGEST_WINDOW:  # bytes that never make a character
            self._shorten(len(self._window) - _SHORT_WINDOW)
        return self._cleaned(piece)

    def finish(self) -> str:
        """What was held back. To be called once, at the end."""
        rest = self._decode(self._window)[self._given :] if self._window else ""
        self._given += len(rest)
        return clean_up_spaces(self._uncleaned + rest) if self._clean_up else rest

    def _shorten(self, dropped: int) -> None:
        del self._window[:dropped]
        self._context = len(self._window)
        self._given = _settled(self._decode(self._window))

    def _cleaned(self, piece: str) -> str:
        if not self._clean_up:
            return piece
        self._uncleaned += piece
        cut = settled_length(self._uncleaned)
        settled, self._uncleaned = self._uncleaned[:cut], self._uncleaned[cut:]
        return clean_up_spaces(settled)


def _settled(text: str) -> int:
    """How many characters of a window's text stand, whatever follows. Replacement characters at the end may not."""
    visible = len(text.rstrip(_REPLACEMENT))
    return visible if len(text) - visible <= _GARBAGE else len(text) - _UNFINISHED
