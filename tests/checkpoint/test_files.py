"""The small files around the tensors: what is absent, what can't be read, and JSON without two meanings."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from zoo.checkpoint import DirectoryFiles, MemoryFiles, read_json
from zoo.checkpoint.directory import ModelDirectory
from zoo.errors import CheckpointError, MalformedCheckpoint

DIRECTORIES = [DirectoryFiles, ModelDirectory]


def json_in(content: bytes) -> object:
    return read_json(MemoryFiles("there", {"config.json": content}), "config.json")


@pytest.mark.parametrize("kind", DIRECTORIES)
def test_what_is_absent_or_no_file_is_none(tmp_path: Path, kind: type[DirectoryFiles]) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_bytes(b"x")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
    files = kind(tmp_path)
    assert files.read("file") == b"x"
    assert [files.read(name) for name in ("absent", "folder", "pipe", "file/in it")] == [None] * 4
    assert files.names() == ("file",)


@pytest.mark.parametrize("kind", DIRECTORIES)
def test_what_can_not_be_read_is_told_by_its_name(
    tmp_path: Path, kind: type[DirectoryFiles], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.json").write_text("{}")

    def refuse(*arguments: object, **options: object) -> None:
        raise PermissionError(13, "Permission denied")

    files = kind(tmp_path)
    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(CheckpointError, match=r"config\.json can't be opened: Permission denied"):
        files.read("config.json")
    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(CheckpointError, match="can't be listed"):
        files.names()


@pytest.mark.parametrize("kind", DIRECTORIES)
def test_a_file_past_all_sense_is_refused_unread(tmp_path: Path, kind: type[DirectoryFiles]) -> None:
    with open(tmp_path / "tokenizer.json", "wb") as file:
        file.truncate(2**29 + 1)
    with pytest.raises(MalformedCheckpoint, match=r"tokenizer\.json is 536870913 bytes long"):
        kind(tmp_path).read("tokenizer.json")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"a": 1, "a": 2}', "key 'a' twice"),
        (b'{"a": [{"b": {"c": 1, "c": 1}}]}', "key 'c' twice"),
        (b'{"a": ' + b"9" * 5000 + b"}", "number of absurd length"),
        (b"[]", "expected an object"),
        (b"\xff", "not UTF-8"),
        (b'{"a":\n 1,}', "not valid JSON: .* at byte 9, line 2, column 4"),
        (b'{"a": "' + b" " * 2**25 + b'"}', "is 33554441 bytes long"),
    ],
    ids=["twice", "twice, deep", "long number", "array", "bytes", "comma", "size"],
)
def test_json_is_read_strictly(content: bytes, said: str) -> None:
    with pytest.raises(MalformedCheckpoint, match=rf"there: config\.json.*{said}"):
        json_in(content)


def test_what_is_well_formed_comes_out_as_it_is() -> None:
    values = {"a": [1, {"b": None}], "c": {"a": -0.5}, "é": "{{[["}
    assert json_in(json.dumps(values).encode()) == values
    assert read_json(MemoryFiles("there", {}), "config.json") is None
