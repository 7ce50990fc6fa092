"""When a text ends: at a token, at a string, or at a length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

__all__ = ["FinishReason", "StopRules", "StopScanner"]

FinishReason = Literal["eos", "end_of_turn", "stop_string", "length", "cancelled"]
"""Why a text ended.

"eos": the model chose one of the `eos_token_id`s. "end_of_turn": it chose the token with which the chat template ends
a turn (and which is no eos_token_id). "stop_string": one of the `stop` strings came up. "length": the limit of new
tokens, or the context, was reached. "cancelled": the reader of a stream closed it.
"""


@dataclass(frozen=True, kw_only=True)
class StopRules:
    """What ends a text: token ids, and strings, which may span several tokens.

    string_ids: special tokens that were given as stop strings; they are not in the text, so only their ids tell.
    """

    eos_token_ids: frozenset[int] = frozenset()
    end_of_turn_ids: frozenset[int] = frozenset()
    string_ids: frozenset[int] = frozenset()
    strings: tuple[str, ...] = ()

    def reason_of(self, token_id: int) -> FinishReason | None:
        """The reason when the token by itself ends a text."""
        if token_id in self.eos_token_ids:
            return "eos"
        if token_id in self.end_of_turn_ids:
            return "end_of_turn"
        return "stop_string" if token_id in self.string_ids else None

    @property
    def ending_ids(self) -> list[int]:
        """All tokens that by themselves end a text."""
        return sorted(self.eos_token_ids | self.end_of_turn_ids | self.string_ids)


class StopScanner:
    """Looks for stop strings in a growing text, and holds back what may turn out to be the start of one.

    The string that is complete first counts; of those complete at the same character, the longest. So the outcome does
    not depend on the pieces in which the text arrives.
    """

    def __init__(self, strings: Sequence[str]) -> None:
        self._strings = strings
        self._longest = max(map(len, strings), default=0)
        self._held = ""
        self.found = False

    def push(self, piece: str) -> str:
        """Take the next piece of text; return what is certain to come before any stop string."""
        text = self._held + piece
        ends = [(start + len(string), start) for string in self._strings if (start := text.find(string)) >= 0]
        if ends:
            self.found = True
            self._held = ""
            return text[: min(ends)[1]]
        safe = len(text) - self._overlap(text)
        self._held = text[safe:]
        return text[:safe]

    def flush(self) -> str:
        """What is still held back, at the end of the text."""
        held, self._held = self._held, ""
        return held

    def _overlap(self, text: str) -> int:
        """The length of the longest end of the text that is the start of a stop string."""
        for length in range(min(len(text), self._longest - 1), 0, -1):
            end = text[-length:]
            if any(string.startswith(end) for string in self._strings):
                return length
        return 0
