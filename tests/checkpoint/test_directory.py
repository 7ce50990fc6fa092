"""What readers make of a save that was interrupted while it moved its files into place."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from zoo.checkpoint import DirectoryTransaction, open_checkpoint, read_bytes
from zoo.errors import CheckpointError, MalformedCheckpoint

WriteTensors = Callable[..., Path]


@pytest.fixture
def interrupted(tmp_path: Path, write_tensors: WriteTensors) -> Callable[..., Path]:
    """A directory with an old save and a new one that is committed."""

    def build(plan: Any = None) -> Path:
        write_tensors({"w": b"old"})
        (tmp_path / "config.json").write_text("old")
        (tmp_path / "template").write_text("old")
        write_tensors({"w": b"new"}, name=".zoo-save/committed/files/model.safetensors")
        (tmp_path / ".zoo-save/committed/files/config.json").write_text("new")
        if plan is None:
            plan = {"files": ["config.json", "model.safetensors"], "removed": ["template"]}
        text = plan if isinstance(plan, str) else json.dumps(plan)
        (tmp_path / ".zoo-save/committed/plan.json").write_text(text)
        return tmp_path

    return build


def test_the_new_save_is_what_counts(interrupted: Callable[..., Path]) -> None:
    checkpoint = open_checkpoint(interrupted())
    assert b"".join(map(bytes, read_bytes(checkpoint["w"]))) == b"new"
    assert checkpoint.side_files.names() == ("config.json", "model.safetensors")
    assert checkpoint.side_files.read("config.json") == b"new"
    assert checkpoint.side_files.read("template") is None


def test_a_save_that_was_not_committed_does_not_count(interrupted: Callable[..., Path]) -> None:
    directory = interrupted()
    (directory / ".zoo-save/committed").rename(directory / ".zoo-save/staged")
    checkpoint = open_checkpoint(directory)
    assert b"".join(map(bytes, read_bytes(checkpoint["w"]))) == b"old"
    assert checkpoint.side_files.read("config.json") == b"old"


def test_the_next_save_finishes_it(interrupted: Callable[..., Path]) -> None:
    directory = interrupted()
    with DirectoryTransaction(directory):
        pass
    assert sorted(path.name for path in directory.iterdir()) == ["config.json", "model.safetensors"]
    assert (directory / "config.json").read_text() == "new"
    assert b"".join(map(bytes, read_bytes(open_checkpoint(directory)["w"]))) == b"new"


def test_files_that_another_program_wrote_since_are_not_hidden(interrupted: Callable[..., Path]) -> None:
    directory = interrupted()
    committed = (directory / ".zoo-save/committed/plan.json").stat().st_mtime
    os.utime(directory / "config.json", (committed + 10, committed + 10))
    with pytest.raises(MalformedCheckpoint) as raised:
        open_checkpoint(directory)
    for fact in (str(directory), "interrupted", "something else has written 'config.json'", ".zoo-save"):
        assert fact in str(raised.value)
    with pytest.raises(CheckpointError, match="interrupted"), DirectoryTransaction(directory):
        pass
    assert (directory / "config.json").read_text() == "old"


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        ("{", "not valid JSON"),
        ("[]", "expected an object"),
        ({"files": []}, "'removed': expected an array of strings, found null"),
        ({"files": "config.json", "removed": []}, "'files': expected an array of strings"),
        ({"files": [1], "removed": []}, "'files': expected an array of strings"),
        ({"files": ["../config.json"], "removed": []}, "'../config.json' is no file name"),
        ({"files": [], "removed": ["/etc/passwd"]}, "'/etc/passwd' is no file name"),
        ({"files": [], "removed": [".."]}, "'..' is no file name"),
    ],
)
def test_a_damaged_record_is_refused(interrupted: Callable[..., Path], plan: Any, said: str) -> None:
    directory = interrupted(plan)
    with pytest.raises(MalformedCheckpoint, match=r"plan\.json") as raised:
        open_checkpoint(directory)
    assert said in str(raised.value)
    with pytest.raises(MalformedCheckpoint), DirectoryTransaction(directory):
        pass
    assert (directory / "config.json").read_text() == "old"


def test_a_directory_that_can_not_be_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refusing(path: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "scandir", refusing)
    with pytest.raises(CheckpointError, match="can't be listed: Permission denied"):
        open_checkpoint(tmp_path)
