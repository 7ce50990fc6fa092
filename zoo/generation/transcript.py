"""What has been generated for one prompt so far: the tokens, the text as far as it may be shown, and why it ended."""

from __future__ import annotations

from typing import Protocol

from zoo.generation.stopping import FinishReason, StopRules, StopScanner

__all__ = ["TextDecoder", "Transcript"]

_HALF_CHARACTER = "\ufffd"  # what tokenizers write for bytes that make no character, or not yet


class TextDecoder(Protocol):
    """Token ids to text, piece by piece, without ever giving half a character."""

    def push(self, token_id: int) -> str:
        """The text that is certain after one more token, maybe none."""
        ...

    def finish(self) -> str:
        """What was held back, at the end."""
        ...


class Transcript:
    """One prompt's new tokens. The decoding loop pushes into it; `generate`, pipelines and streams read from it.

    limit: how many tokens it takes. decoder: turns them into text; None where no text is wanted, nor stop strings.
    """

    def __init__(self, rules: StopRules, limit: int, decoder: TextDecoder | None = None) -> None:
        self.token_ids: list[int] = []
        self.logprobs: list[float] = []
        self.finish_reason: FinishReason | None = None
        self._rules = rules
        self._limit = limit
        self._decoder = decoder
        self._scanner = StopScanner(rules.strings)
        self._pieces: list[str] = []
        self._taken = 0
        self._decoded = 0
        self._complete = False

    @property
    def is_open(self) -> bool:
        """Whether more tokens are wanted."""
        return self.finish_reason is None

    @property
    def text(self) -> str:
        """The text so far, without stop strings and without what may become one."""
        self._decode()
        return "".join(self._pieces)

    def push(self, token_id: int, logprob: float | None = None) -> None:
        """Take the next token, and its log-probability where wanted. Tokens after the end are ignored."""
        if self.finish_reason is not None:
            return
        self.token_ids.append(token_id)
        if logprob is not None:
            self.logprobs.append(logprob)
        self.finish_reason = self._rules.reason_of(token_id)
        if self.finish_reason is None and self._rules.strings:
            self._decode()
            if self._scanner.found:
                self.finish_reason = "stop_string"
        if self.finish_reason is None and len(self.token_ids) >= self._limit:
            self.finish_reason = "length"

    def cancel(self) -> None:
        """End it now, as it is."""
        if self.finish_reason is None:
            self.finish_reason = "cancelled"

    def take(self) -> str:
        """The text that has become certain since the last call."""
        self._decode()
        fresh = "".join(self._pieces[self._taken :])
        self._taken = len(self._pieces)
        return fresh

    def _decode(self) -> None:
        """Turn new tokens into text: at once where stop strings are looked for, otherwise when it is asked for."""
        if self._decoder is None or self._complete:
            return
        for token_id in self.token_ids[self._decoded :]:
            if self._rules.reason_of(token_id) is None:
                self._add(self._decoder.push(token_id))
        self._decoded = len(self.token_ids)
        if self.finish_reason is not None:
            self._add(self._decoder.finish().rstrip(_HALF_CHARACTER))
            if not self._scanner.found:
                self._pieces.append(self._scanner.flush())
            self._complete = True

    def _add(self, piece: str) -> None:
        if piece and not self._scanner.found:
            self._pieces.append(self._scanner.push(piece))
