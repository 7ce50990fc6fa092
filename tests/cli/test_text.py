"""Others' text on a terminal."""

from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo.cli.output import json_text
from zoo.cli.text import escaped, escaped_lines, without_controls

TEXTS = st.text(st.characters())  # lone surrogates among them


def controls(text):
    return {character for character in text if unicodedata.category(character) in ("Cc", "Cs")}


@pytest.mark.parametrize("text", ["Grüße", "漢字", "می‌خواهم", "👩‍💻 ❤️", "עברית", "a b", "e\u0301"])
def test_what_people_write_stays_as_it_is(text):
    assert escaped(text) == escaped_lines(text) == without_controls(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred", r"\x1b[31mred"),
        ("a\x9bb", r"a\x9bb"),
        ("two\nlines\t", r"two\nlines\t"),
        ("\u202egnp.exe", r"\u202egnp.exe"),
        ("in\u200bvisible\ufeff", r"in\u200bvisible\ufeff"),
        ("\udce9", r"\udce9"),
    ],
)
def test_what_acts_on_a_terminal_is_shown_as_an_escape(text, shown):
    assert escaped(text) == shown


def test_lines_may_stay_lines():
    assert escaped_lines("two\n\tlines\r\x1b") == "two\n\tlines\\r\\x1b"


def test_a_models_text_loses_its_controls_and_nothing_else():
    assert without_controls("one\r\ntwo\t\x1b[2Jthree\x07\x9b") == "one\ntwo\t[2Jthree"


@given(TEXTS)
def test_nothing_that_acts_on_a_terminal_is_left(text):
    assert not controls(escaped(text))
    assert controls(escaped_lines(text)) <= {"\n", "\t"}
    assert controls(without_controls(text)) <= {"\n", "\t"}


@given(TEXTS)
def test_json_says_exactly_what_it_was_given(text):
    written = json_text({"text": text})
    assert json.loads(written) == {"text": text}
    assert not controls(written)
    written.encode()
