"""The pieces of a stream make the text that `decode` gives, and each is a whole number of characters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from zoo.preprocess import TextPreprocessor
from zoo.preprocess.stream import StreamDecoder

Write = Callable[..., Path]
Load = Callable[[Path], TextPreprocessor]

KINDS = {
    "byte-level": ("byte-level", {"eos_token": "<|im_end|>"}),
    "byte-fallback": ("byte-fallback", {"tokenizer_class": "LlamaTokenizer"}),
    "byte-fallback as it stands": ("byte-fallback", {}),
    "word-piece": ("word-piece", {}),
    "word-piece cleaned up": ("word-piece", {"clean_up_tokenization_spaces": True}),
    "unigram": ("unigram", {}),
    "unigram cleaned up": ("unigram", {"clean_up_tokenization_spaces": True}),
}
TEXT = (
    "  Hello, world! don't you see? it 's 'here' .\n\n\tdef f(x):  return x  # 12 + 34\n"
    "日本語のテキスト 中文 한국어 Привет שלום 😀👩‍👩‍👧🇫🇷 e\u0301 café \ufffd end "
)


def pieces(preprocessor: TextPreprocessor, ids: Sequence[int], *, skip: bool = True) -> list[str]:
    decoder = preprocessor.stream_decoder(skip_special_tokens=skip)
    return [*(decoder.push(index) for index in ids), decoder.finish()]


@pytest.mark.parametrize("skip", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_pieces_make_the_whole(kind: str, skip: bool, write_tokenizer: Write, load: Load) -> None:
    preprocessor = load(write_tokenizer(*KINDS[kind]))
    special = sorted(preprocessor.special_token_ids)
    words = [preprocessor.encode(word, add_special_tokens=False) for word in (TEXT, *TEXT.split(" "), TEXT * 5)]
    for ids in words:
        spread = [index for token in ids for index in (special[0], token)] if special else ids
        for given_ids in (ids, [*special, *ids, *special], spread, [*ids, preprocessor.vocab_size + 7, *ids]):
            parts = pieces(preprocessor, given_ids, skip=skip)
            assert "".join(parts) == preprocessor.decode(given_ids, skip_special_tokens=skip)


@pytest.mark.parametrize("kind", ["byte-level", "byte-fallback"])
def test_no_piece_holds_half_a_character(kind: str, write_tokenizer: Write, load: Load) -> None:
    preprocessor = load(write_tokenizer(*KINDS[kind]))
    text = "日本語 😀👩‍👩‍👧🇫🇷 ሰላም 𐍈 end"
    ids = preprocessor.encode(text, add_special_tokens=False)
    assert len(ids) > len(text), "characters must be split over tokens for this to show anything"
    parts = pieces(preprocessor, ids)
    assert "".join(parts) == preprocessor.decode(ids)
    assert not any("\ufffd" in part for part in parts)
    assert sum(map(bool, parts)) > 10, "it must come piece by piece"


@pytest.mark.parametrize("kind", ["word-piece", "unigram", "word-piece cleaned up", "byte-fallback"])
def test_text_comes_as_soon_as_a_word_or_two_later(kind: str, write_tokenizer: Write, load: Load) -> None:
    preprocessor = load(write_tokenizer(*KINDS[kind]))
    ids = preprocessor.encode("hello world hello there user system tool " * 5, add_special_tokens=False)
    decoder = preprocessor.stream_decoder()
    given_out = ""
    for index, token in enumerate(ids):
        given_out += decoder.push(token)
        assert len(preprocessor.decode(ids[: index + 1])) - len(given_out) <= 16


@pytest.mark.parametrize("kind", ["byte-level", "byte-fallback", "unigram"])
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_ids_stream(kind: str, data: st.DataObject, streams: dict[str, TextPreprocessor]) -> None:
    """What a model may write: also bytes that make no character. Then nothing that can be read is lost."""
    preprocessor = streams[kind]
    ids = data.draw(st.lists(st.integers(0, preprocessor.vocab_size + 3), max_size=40))
    whole = preprocessor.decode(ids)
    streamed = "".join(pieces(preprocessor, ids))
    if kind != "byte-fallback" or "\ufffd" not in whole:  # that decoder takes characters back when broken bytes follow
        assert streamed == whole
    remaining = iter(streamed)
    assert all(character in remaining for character in whole if character != "\ufffd")


@pytest.mark.parametrize("kind", ["byte-level", "byte-fallback"])
def test_a_flood_of_broken_bytes_is_given_out_and_does_not_swallow_what_follows(
    kind: str, streams: dict[str, TextPreprocessor]
) -> None:
    preprocessor = streams[kind]
    [half, *_] = preprocessor.encode("ሰ", add_special_tokens=False)[-1:]
    ending = preprocessor.encode("hello there", add_special_tokens=False)
    parts = pieces(preprocessor, [*[half] * 500, *ending])
    assert sum(map(len, parts[:400])) >= 300
    assert "".join(parts).endswith("hello there")
    assert "".join(parts).count("\ufffd") >= 400


def test_a_step_costs_the_same_however_long_the_text(streams: dict[str, TextPreprocessor]) -> None:
    preprocessor = streams["byte-level"]
    ids = preprocessor.encode("日本 hello 😀 " * 300, add_special_tokens=False)
    decoded: list[int] = []

    def decode(window: Sequence[int]) -> str:
        decoded.append(len(window))
        return preprocessor.decode(window)

    decoder = StreamDecoder(decode, skipped=lambda index: False)
    text = "".join([*(decoder.push(index) for index in ids), decoder.finish()])
    assert text == preprocessor.decode(ids)
    assert max(decoded) <= 16
    assert sum(decoded) <= 16 * len(ids)


def test_tokens_that_each_end_within_a_character_still_stream() -> None:
    """Every token is the end of one character and the beginning of the next: no text is ever complete."""
    data = ("中" * 300).encode()
    tokens = [data[:1], *(data[start : start + 3] for start in range(1, len(data) - 3, 3)), data[-2:]]

    def decode(window: Sequence[int]) -> str:
        return b"".join(tokens[index] for index in window).decode("utf-8", errors="replace")

    decoder = StreamDecoder(decode, skipped=lambda index: False)
    parts = [decoder.push(index) for index in range(len(tokens))]
    assert "".join(parts) + decoder.finish() == "中" * 300
    assert len("".join(parts[:200])) == 199


@pytest.fixture(scope="module")
def streams(trained: dict[str, str]) -> dict[str, TextPreprocessor]:
    from zoo.checkpoint.files import MemoryFiles

    made = {}
    for name in ("byte-level", "byte-fallback", "unigram"):
        kind, config = KINDS[name]
        files = MemoryFiles(kind, {"tokenizer.json": trained[kind].encode()})
        preprocessor = TextPreprocessor.from_files(files, config)
        assert preprocessor is not None
        made[name] = preprocessor
    return made
