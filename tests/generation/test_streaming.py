"""Streams: the text piece by piece, never more than is certain."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from zoo.errors import ZooError
from zoo.generation import TextStream
from zoo.generation.resolution import resolve_settings
from zoo.generation.run import start
from zoo.tasks.text_generation import CausalLanguageModel

Make = Callable[..., CausalLanguageModel]


def stream(model: CausalLanguageModel, codec: Any, **settings: Any) -> TextStream:
    decoders = [codec.stream_decoder()]
    return TextStream(start(model, [[1]], None, resolve_settings(model, settings), codec, decoders=decoders))


def test_pieces_come_as_they_are_made(scripted: Make, codec: Any) -> None:
    model = scripted("abc")
    pieces = stream(model, codec)
    assert model.backbone.steps == 0
    assert next(pieces) == "a"
    assert model.backbone.steps == 1
    assert list(pieces) == ["b", "c"]
    assert (pieces.generation.text, pieces.generation.finish_reason) == ("abc", "eos")


def test_no_half_characters_and_no_empty_pieces(scripted: Make, codec: Any) -> None:
    assert list(stream(scripted("aé€😀"), codec)) == ["a", "é", "€", "😀"]


def test_stop_strings_are_held_back(scripted: Make, codec: Any) -> None:
    pieces = stream(scripted("a##b###c"), codec, stop="###")
    assert list(pieces) == ["a", "##b"]
    assert pieces.generation.text == "a##b"
    assert pieces.generation.finish_reason == "stop_string"


def test_what_was_held_back_is_shown_when_the_text_ends(scripted: Make, codec: Any) -> None:
    assert list(stream(scripted("a##"), codec, stop="###")) == ["a", "##"]


def test_the_text_is_its_pieces(tiny: Make, codec: Any) -> None:
    model = tiny()
    for seed in range(5):
        pieces = stream(model, codec, seed=seed, temperature=2.0, max_new_tokens=40, stop=["a", "bc"])
        assert "".join(pieces) == pieces.generation.text


def test_closing_early_ends_it(scripted: Make, codec: Any) -> None:
    model = scripted("abcdef")
    pieces = stream(model, codec)
    assert [next(pieces), next(pieces)] == ["a", "b"]
    with pytest.raises(ZooError, match="has not ended"):
        _ = pieces.generation
    pieces.close()
    assert list(pieces) == []
    assert model.backbone.steps == 2
    assert (pieces.generation.text, pieces.generation.finish_reason) == ("ab", "cancelled")


def test_as_a_context_manager(scripted: Make, codec: Any) -> None:
    with stream(scripted("abc"), codec) as pieces:
        for _ in pieces:
            break
    assert pieces.generation.finish_reason == "cancelled"
    with stream(scripted("abc"), codec) as pieces:
        list(pieces)
    assert pieces.generation.finish_reason == "eos"


def test_closing_before_the_first_piece(scripted: Make, codec: Any) -> None:
    pieces = stream(scripted("abc"), codec)
    pieces.close()
    assert (pieces.generation.text, pieces.generation.token_ids) == ("", ())


def test_an_interrupt_leaves_what_there_is(scripted: Make, codec: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model = scripted("abcdef")
    pieces = stream(model, codec)
    assert [next(pieces), next(pieces)] == ["a", "b"]

    def interrupted(*args: Any, **kwargs: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(model.backbone, "forward", interrupted)
    with pytest.raises(KeyboardInterrupt):
        next(pieces)
    assert (pieces.generation.text, pieces.generation.finish_reason) == ("ab", "cancelled")
    assert list(pieces) == []
