"""Names that strangers gave their tensors, on everything that shows them: a terminal, a pipe, JSON, a page."""

from __future__ import annotations

import json
import re
from collections import OrderedDict

import pytest
import torch
from safetensors.torch import save_file

from zoo.cli import main

HOSTILE = {
    "colour": "\x1b[31mred\x1b[0m",
    "title": "\x1b]0;owned\x07",
    "clear": "a\x1b[2J\x1b[Hb",
    "eight bits": "a\x9b31mb",
    "lines": "one\ntwo\r\ttabs",
    "backspace": "good\x08\x08\x08\x08evil",
    "reversed": "\u202egnp.exe",
    "invisible": "a\u200b\u2060\ufeffb",
    "separators": "a\u2028b\u2029c",
    "markup": "[bold red]x[/] [link=file:///etc/passwd]y[/link] :skull:",
    "html": "<script>alert(1)</script>",
    "quotes": "\"'`&<>",
    "shell": "$(reboot); `reboot`",
    "long": "x" * 1000,
    "wide": "漢字\U0001f469\u200d\U0001f4bb",
}
ACTING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u202a-\u202e\u2028\u2029\u2060-\u2069\ufeff\ud800-\udfff]")
ACTING_IN_JSON = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2028\u2029\u2066-\u2069\ud800-\udfff]")
STYLES = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture
def hostile(tmp_path):
    """Two files, one of each kind, with all of these names, and tied under them."""
    tensors = {f"{number}.{name}": torch.full((2,), float(number)) for number, name in enumerate(HOSTILE.values())}
    save_file(tensors, tmp_path / "a.safetensors", metadata={name: name for name in HOSTILE.values()})
    tied = OrderedDict(tensors)
    tied["tied." + HOSTILE["colour"]] = tensors[f"0.{HOSTILE['colour']}"]
    torch.save(tied, tmp_path / "b.pt")
    return str(tmp_path / "a.safetensors"), str(tmp_path / "b.pt")


@pytest.mark.parametrize("command", ["inspect", "verify", "diff"])
@pytest.mark.parametrize("as_json", [False, True])
def test_in_a_pipe(zoo_here, hostile, command, as_json):
    paths = hostile if command != "inspect" else hostile[:1]
    options = ["--json"] if as_json else []
    for arguments in ([command, *paths], [command, *reversed(paths)]):
        finished = zoo_here(*arguments, *options)
        assert finished.exit_code in (0, 1) and "Traceback" not in finished.stderr
        acting = ACTING_IN_JSON if as_json else ACTING
        assert not acting.search(finished.stdout.replace("\t", "").replace("\n", ""))
        if as_json:
            json.loads(finished.stdout)


def test_json_says_the_names_as_they_are(zoo_here, hostile):
    for path in hostile:
        names = {tensor["name"] for tensor in json.loads(zoo_here("inspect", path, "--json").stdout)["tensors"]}
        assert {f"{number}.{name}" for number, name in enumerate(HOSTILE.values())} <= names


@pytest.mark.parametrize("options", [("--tensors",), ("--tree",), ("--html", "report.html")])
def test_on_a_terminal(terminal, hostile, tmp_path, monkeypatch, options):
    monkeypatch.chdir(tmp_path)
    for path in hostile:
        screen = terminal("inspect", path, *options)
        assert screen.exit_code() == 0
        assert not ACTING.search(STYLES.sub("", screen.screen).replace("\n", ""))
        assert "\x1b[31m" not in screen.screen  # the only colours are our own
        assert "[bold red]x[/]" in screen.screen and ":skull:" in screen.screen


def test_a_diff_on_a_terminal(terminal, hostile, tmp_path):
    save_file({"other": torch.zeros(1)}, tmp_path / "c.safetensors")
    screen = terminal("diff", hostile[1], str(tmp_path / "c.safetensors"))
    assert screen.exit_code() == 0
    assert not ACTING.search(STYLES.sub("", screen.screen).replace("\n", ""))


def test_on_a_page(zoo_here, hostile, tmp_path):
    for path in hostile:
        page = tmp_path / "report.html"
        assert zoo_here("inspect", path, "--html", str(page)).exit_code == 0
        text = page.read_bytes().decode("utf-8")
        assert "<script" not in text and not ACTING.search(text.replace("\n", "").replace("\t", ""))


@pytest.mark.parametrize("name", ["half\udce9", "nul\0"])
def test_names_that_are_no_text_are_refused_or_told(zoo_here, tmp_path, name):
    torch.save({name: torch.zeros(1), "w": torch.zeros(1)}, tmp_path / "model.pt")
    finished = zoo_here("inspect", str(tmp_path / "model.pt"))
    assert finished.exit_code in (0, 1) and "Traceback" not in finished.stderr
    assert not ACTING.search((finished.stdout + finished.stderr).replace("\t", "").replace("\n", ""))


def test_a_file_whose_own_name_is_hostile(zoo_here, tmp_path):
    for name in ("\x1b[31mred.safetensors", "<script>.safetensors", "two\nlines.safetensors"):
        save_file({"w": torch.zeros(1)}, tmp_path / name)
        page = tmp_path / "report.html"
        finished = zoo_here("inspect", str(tmp_path / name), "--html", str(page))
        assert finished.exit_code == 0 and "\x1b" not in finished.stdout
        assert "<script" not in page.read_text(encoding="utf-8")
        assert len([line for line in finished.stdout.splitlines() if line.startswith("file\t")]) == 1


@pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE)
def test_in_what_is_said_about_a_wrong_call(name, capsys):
    assert main(["run", "image-feature-extraction", "no such model", "photo.png", "--out", f"{name}.txt"]) == 2
    said = capsys.readouterr().err
    assert "Error: --out: " in said
    assert not ACTING.search(said)
