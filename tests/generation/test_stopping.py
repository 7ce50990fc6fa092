"""Where a text ends, and that nothing of a stop string is ever shown."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo.errors import InvalidInput
from zoo.generation.resolution import resolve_settings
from zoo.generation.run import start
from zoo.generation.stopping import StopRules, StopScanner
from zoo.generation.transcript import Transcript
from zoo.tasks.text_generation import CausalLanguageModel

Make = Callable[..., CausalLanguageModel]


def cut(text: str, strings: list[str]) -> str | None:
    """What stands before the stop string that is complete first (the longest of those); None when there is none."""
    for end in range(1, len(text) + 1):
        complete = [string for string in strings if text[:end].endswith(string)]
        if complete:
            return text[: end - max(map(len, complete))]
    return None


@given(
    pieces=st.lists(st.text("ab#", max_size=4), max_size=12),
    strings=st.lists(st.text("ab#", min_size=1, max_size=4), max_size=3),
)
def test_scanner_cuts_at_the_first_complete_string(pieces: list[str], strings: list[str]) -> None:
    scanner = StopScanner(strings)
    shown = come = ""
    for piece in pieces:
        come += piece
        shown += scanner.push(piece)
        if scanner.found:
            break
        may_be_a_start = [any(string.startswith(come[start:]) for string in strings) for start in range(len(come))]
        assert not any(may_be_a_start[: len(shown)]), "shown too early"
        assert len(shown) == len(come) or may_be_a_start[len(shown)], "held back without need"
    expected = cut("".join(pieces), strings)
    assert scanner.found == (expected is not None)
    assert shown + scanner.flush() == ("".join(pieces) if expected is None else expected)


def run(model: CausalLanguageModel, codec: Any, **settings: Any) -> Any:
    run = start(model, [[1]], None, resolve_settings(model, settings), codec, decoders=[codec.stream_decoder()])
    run.finish()
    return run.generations()[0]


def test_a_stop_string_over_several_tokens_is_cut_off(scripted: Make, codec: Any) -> None:
    generation = run(scripted("one two three"), codec, stop="two")
    assert generation.text == "one "
    assert generation.finish_reason == "stop_string"
    assert bytes(generation.token_ids) == b"one two"


def test_no_stop_string_in_the_text(scripted: Make, codec: Any) -> None:
    generation = run(scripted("one tw"), codec, stop=["two", "xyz"])
    assert (generation.text, generation.finish_reason) == ("one tw", "eos")


def test_stop_strings_of_the_models_own_file(scripted: Make, codec: Any) -> None:
    model = scripted("a\nb", {"stop_strings": ["\n"]})
    assert run(model, codec).text == "a"
    assert run(model, codec, stop=[]).text == "a\nb"


def test_a_stop_string_completed_by_the_last_token(scripted: Make, codec: Any) -> None:
    assert run(scripted("abc"), codec, stop="bc", max_new_tokens=3).finish_reason == "stop_string"


def test_eos_and_end_of_turn_are_told_apart(scripted: Make, codec: Any) -> None:
    assert run(scripted("a"), codec).finish_reason == "eos"
    turn = run(scripted([97, 257, 98]), codec)
    assert (turn.text, turn.token_ids, turn.finish_reason) == ("a", (97, 257), "end_of_turn")
    assert run(scripted([97, 257, 98], {"eos_token_id": [256, 257]}), codec).finish_reason == "eos"


def test_explicit_eos_token_ids_are_all_there_are(scripted: Make, codec: Any) -> None:
    generation = run(scripted([97, 257, 98, 99]), codec, eos_token_id=98)
    assert (generation.text, generation.finish_reason) == ("a", "eos")
    assert generation.token_ids == (97, 257, 98)


def test_a_token_that_ends_the_text_is_no_part_of_it(scripted: Make, codec: Any) -> None:
    assert run(scripted("ab\ncd"), codec, eos_token_id=10).text == "ab"


def test_a_character_that_was_cut_in_half_is_not_shown(scripted: Make, codec: Any) -> None:
    assert run(scripted("aé"), codec, max_new_tokens=2).text == "a"


def test_a_special_token_as_a_stop_string(scripted: Make, codec: Any) -> None:
    """It is not in the text, so that looking for it there would never find it."""
    model = scripted([97, 257, 98])
    generation = run(model, codec, stop="<end>", stop_at_end_of_turn=False)
    assert (generation.text, generation.finish_reason) == ("a", "stop_string")
    assert run(model, codec, stop_at_end_of_turn=False).text == "ab"


def test_stop_strings_need_a_preprocessor(scripted: Make) -> None:
    with pytest.raises(InvalidInput, match=r"Stop strings.*\n.*preprocessor"):
        scripted("a").generate([[1]], stop="x")


def test_generate_stops_at_strings_too(scripted: Make, codec: Any) -> None:
    output = scripted("abcdef").generate([[1], [2, 3]], stop=["cd"], preprocessor=codec)
    assert output.token_ids == (tuple(b"abcd"),) * 2
    assert output.finish_reasons == ("stop_string", "stop_string")


def test_a_transcript_ignores_what_comes_after_its_end() -> None:
    transcript = Transcript(StopRules(eos_token_ids=frozenset({3})), limit=5)
    for token in (1, 2, 3, 4):
        transcript.push(token)
    assert transcript.token_ids == [1, 2, 3]
    transcript.cancel()
    assert transcript.finish_reason == "eos"
