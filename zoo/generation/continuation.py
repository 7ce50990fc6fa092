"""The text of tokens that continue a prompt."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from zoo.generation.transcript import TextDecoder

__all__ = ["ContinuingDecoder"]

_CONTEXT = 8  # tokens of the prompt; the last one or two decide how the first new token is written


class ContinuingDecoder:
    """Decodes new tokens as what they are, the middle of a text.

    Tokenizers of the SentencePiece kind strip the space that a text begins with, so that decoding the new tokens alone
    would glue their first word to the prompt.
    """

    def __init__(self, make_decoder: Callable[[], TextDecoder], prompt_ids: Sequence[int]) -> None:
        self._decoder, twin = make_decoder(), make_decoder()
        for token_id in prompt_ids[-_CONTEXT:]:
            self._decoder.push(token_id)
            twin.push(token_id)
        self._of_prompt = twin.finish()  # what the decoder still holds back, and is going to give with a later token

    def push(self, token_id: int) -> str:
        """As in TextDecoder."""
        return self._without_prompt(self._decoder.push(token_id))

    def finish(self) -> str:
        """As in TextDecoder."""
        return self._without_prompt(self._decoder.finish())

    def _without_prompt(self, piece: str) -> str:
        if not piece or not self._of_prompt:
            return piece
        held = self._of_prompt
        if len(piece) < len(held) and held.startswith(piece):
            self._of_prompt = held[len(piece) :]
            return ""
        self._of_prompt = ""
        return piece.removeprefix(
            held
        )  # spaces at the seam may have been cleaned up: then nothing of the prompt is left
