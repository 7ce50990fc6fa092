"""Where `zoo run --out` writes, and what it never replaces."""

from __future__ import annotations

import os
from pathlib import Path

import click
import pytest

from zoo.cli.destination import destinations

SUFFIXES = (".png", ".jpg")


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """A directory with two photographs in it and one in each of two others."""
    monkeypatch.chdir(tmp_path)
    for name in ("a.png", "b.png", "one/c.jpg", "two/c.jpg"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_bytes(name.encode())


@pytest.mark.parametrize(
    ("out", "inputs", "expected"),
    [
        ("out.jpg", ["a.png"], ["out.jpg"]),
        ("OUT.PNG", ["a.png"], ["OUT.PNG"]),
        ("new/", ["a.png"], ["new/a.png"]),
        ("new/", ["a.png", "one/c.jpg", "not there.tar.gz"], ["new/a.png", "new/c.png", "new/not there.tar.png"]),
        ("one", ["a.png", "b.png"], ["one/a.png", "one/b.png"]),
        ("{name} over.jpg", ["a.png", "b.png"], ["a over.jpg", "b over.jpg"]),
        ("new/{name}/out.png", ["a.png", "b.png"], ["new/a/out.png", "new/b/out.png"]),
        ("new/", ["a.png", "a.png"], ["new/a.png", "new/a.png"]),
        ("new/", [], []),
    ],
)
def test_each_input_has_a_file(out, inputs, expected):
    assert destinations(out, inputs, SUFFIXES) == [Path(each) for each in expected]


@pytest.mark.parametrize(
    ("out", "inputs", "message"),
    [
        ("out.png", ["a.png", "b.png"], r"out\.png is one file for 2 inputs; give a directory"),
        ("new/", ["one/c.jpg", "two/c.jpg"], r"results of one/c\.jpg and two/c\.jpg would both be new/c\.png"),
        ("out.txt", ["a.png"], r"out\.txt does not end in \.png, \.jpg"),
        ("out", ["a.png"], r"out does not end in"),
        ("no/such/out.png", ["a.png"], "there is no directory no/such"),
        ("a.png", ["a.png"], r"a\.png is an input, a\.png, which is not replaced"),
        ("./one/../a.png", ["a.png"], r"a\.png is an input"),
        (".", ["a.png"], r"a\.png is an input"),
        ("{name}.jpg", ["one/c.jpg", "c.jpg"], "would both be"),
        ("{name}.png", ["one/c.jpg", "b.png"], r"b\.png is an input"),
    ],
)
def test_what_is_ambiguous_or_would_replace_an_input_is_refused(out, inputs, message):
    with pytest.raises(click.UsageError, match=message):
        destinations(out, inputs, SUFFIXES)


def test_another_name_of_an_input_is_the_input():
    Path("link.png").symlink_to("a.png")
    os.link("b.png", "hard.png")
    for out in ("link.png", "hard.png"):
        with pytest.raises(click.UsageError, match=rf"{out} is an input, (a|b)\.png"):
            destinations(out, ["a.png" if out == "link.png" else "b.png"], SUFFIXES)
