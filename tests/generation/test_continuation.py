"""The text of new tokens is what they add to the prompt's, and nothing of the prompt itself."""

from __future__ import annotations

import pytest

from zoo.generation.continuation import ContinuingDecoder


class Lagging:
    """Gives each word when the next one comes, as decoders do that may still have to change it."""

    words = ("the", "cat", "sat", "down", "")

    def __init__(self) -> None:
        self._held = ""
        self._begun = False

    def push(self, token_id: int) -> str:
        given, self._held = self._held, (" " if self._begun else "") + self.words[token_id]
        self._begun = True
        return given

    def finish(self) -> str:
        given, self._held = self._held, ""
        return given


@pytest.mark.parametrize("prompt", [[0], [0, 1], [1, 1, 1, 0] * 10])
def test_what_was_held_back_of_the_prompt_is_not_given(prompt: list[int]) -> None:
    decoder = ContinuingDecoder(Lagging, prompt)
    pieces = [decoder.push(2), decoder.push(3), decoder.finish()]
    assert pieces == ["", " sat", " down"]


def test_nothing_new_is_no_text() -> None:
    assert ContinuingDecoder(Lagging, [0, 1]).finish() == ""


def test_a_prompt_may_come_in_several_pieces() -> None:
    class CharacterByCharacter(Lagging):
        def push(self, token_id: int) -> str:
            self._held += self.words[token_id]
            given, self._held = self._held[:1], self._held[1:]
            return given

    decoder = ContinuingDecoder(CharacterByCharacter, [0])
    assert [decoder.push(4), decoder.push(4), decoder.push(2), decoder.finish()] == ["", "", "s", "at"]
