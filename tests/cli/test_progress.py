"""The bar on a terminal for what takes long."""

from __future__ import annotations

import io
import sys

import pytest

from zoo.cli.progress import _DelayedBar, progress_bar


class FakeTerminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def screen(monkeypatch):
    """Make standard error a terminal that remembers what was written to it."""

    def make():
        monkeypatch.setenv("COLUMNS", "120")
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setattr(sys, "stderr", FakeTerminal())  # in the test itself, since pytest sets it before that
        return sys.stderr

    return make


@pytest.fixture
def shown(screen):
    """What a bar shows when its time has come and 1 of 2 GB are done."""

    def show(description, **options):
        terminal = screen()
        bar = _DelayedBar(description, **options)
        bar.update(1_000_000_000, 2_000_000_000)
        bar._show()
        bar.close()
        return terminal.getvalue()

    return show


def test_bytes_have_their_rate_and_the_time_left(shown):
    text = shown("Migrating", in_bytes=True)
    assert "Migrating" in text and "50%" in text and "1.0/2.0 GB" in text
    assert "-:--:--" in text  # the time left, before a rate is known


def test_other_amounts_have_neither(shown):
    text = shown("Loading", in_bytes=False)
    assert "50%" in text and "GB" not in text


def test_what_is_described_can_not_act_on_the_terminal(shown):
    text = shown("Loading \x1b]0;owned\x07 [red]", in_bytes=False)
    assert "\x1b]0;" not in text and "[red]" in text


def test_what_is_quick_shows_nothing(screen):
    terminal = screen()
    with progress_bar("Verifying", in_bytes=True) as progress:
        progress(1, 2)
    assert terminal.getvalue() == ""


def test_in_a_pipe_nothing_is_shown(capsys):
    with progress_bar("Verifying", in_bytes=True) as progress:
        progress(1, 2)
    assert capsys.readouterr() == ("", "")


def test_nothing_is_shown_to_who_wants_no_bars(screen, monkeypatch):
    monkeypatch.setenv("ZOO_PROGRESS", "0")
    monkeypatch.setattr("zoo.cli.progress._DelayedBar", None)
    terminal = screen()
    with progress_bar("Loading") as progress:
        progress(1, 2)
    assert terminal.getvalue() == ""
