from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from zoo.checkpoint import open_checkpoint
from zoo.checkpoint.index import read_index
from zoo.errors import CheckpointError, MalformedCheckpoint

WriteTensors = Callable[..., Path]
INDEX = "model.safetensors.index.json"


def write_index(directory: Path, contents: Any, name: str = INDEX) -> Path:
    path = directory / name
    path.write_text(contents if isinstance(contents, str) else json.dumps(contents))
    return path


def test_shards_are_one_checkpoint(tmp_path: Path, write_tensors: WriteTensors) -> None:
    write_tensors({"b": b"bb"}, name="two.safetensors", metadata={"format": "pt", "part": "2"})
    write_tensors({"a": b"a", "c": b"ccc"}, name="one.safetensors", metadata={"format": "pt", "part": "1"})
    index = {
        "metadata": {"total_size": 6, "total_parameters": 6},
        "weight_map": {"a": "one.safetensors", "b": "two.safetensors", "c": "one.safetensors"},
    }
    write_index(tmp_path, index)
    (tmp_path / "config.json").write_text("{}")
    checkpoint = open_checkpoint(tmp_path)
    assert {name: record.data.path.name for name, record in checkpoint.items()} == index["weight_map"]
    assert [path.name for path in checkpoint.files] == ["one.safetensors", "two.safetensors"]
    assert checkpoint.metadata == {"format": "pt", "total_size": 6, "total_parameters": 6}, (
        "what shards disagree on is out"
    )
    assert checkpoint.location == tmp_path
    assert checkpoint.side_files.read("config.json") == b"{}"


def test_an_index_without_metadata(tmp_path: Path, write_tensors: WriteTensors) -> None:
    write_tensors({"a": b"a"}, name="one.safetensors")
    assert list(open_checkpoint(write_index(tmp_path, {"weight_map": {"a": "one.safetensors"}}))) == ["a"]


REFUSED: dict[str, tuple[Any, list[str]]] = {
    "not JSON": ("{", ["not valid JSON"]),
    "an array": ([], ["expected an object", "found the array []"]),
    "no weight_map": ({"metadata": {}}, ["'weight_map' is missing"]),
    "a weight_map that is an array": ({"weight_map": ["a"]}, ["'weight_map'", "expected an object", "the array ['a']"]),
    "an empty weight_map": ({"weight_map": {}}, ["'weight_map' names no tensor"]),
    "a tensor twice": ('{"weight_map": {"a": "x", "a": "y"}}', ["'weight_map'", "key 'a' twice"]),
    "weight_map twice": ('{"weight_map": {"a": "x"}, "weight_map": {"a": "x"}}', ["key 'weight_map' twice"]),
    "a file name that is a number": ({"weight_map": {"a": 1}}, ["tensor 'a'", "a file name", "the integer 1"]),
    "metadata that is an array": ({"weight_map": {"a": "x"}, "metadata": []}, ["'metadata'", "expected an object"]),
}


@pytest.mark.parametrize(("contents", "said"), REFUSED.values(), ids=REFUSED)
def test_refuses_what_is_no_index(tmp_path: Path, contents: Any, said: list[str]) -> None:
    path = write_index(tmp_path, contents)
    with pytest.raises(MalformedCheckpoint) as raised:
        open_checkpoint(tmp_path)
    for fact in [str(path), *said]:
        assert fact in str(raised.value)


@pytest.mark.parametrize(
    "shard",
    [
        "/etc/passwd",
        "../outside.safetensors",
        "inside/../../outside.safetensors",
        "..",
        ".",
        "",
        "./x.safetensors",
        "a//x.safetensors",
        "..\\outside.safetensors",
        "\\\\server\\share\\x.safetensors",
        "C:x.safetensors",
        "C:/x.safetensors",
        "x.safetensors\0",
        "x\n.safetensors",
        "\u202ex.safetensors",
        "\ud800.safetensors",
    ],
)
def test_refuses_names_that_lead_out_of_the_directory(tmp_path: Path, write_tensors: WriteTensors, shard: str) -> None:
    write_tensors({"a": b"a"}, name="outside.safetensors")
    directory = tmp_path / "model"
    (directory / "inside").mkdir(parents=True)
    write_index(directory, {"weight_map": {"a": shard}})
    with pytest.raises(MalformedCheckpoint) as raised:
        open_checkpoint(directory)
    assert f"{shard!r} names no file inside the directory" in str(raised.value)


def test_a_shard_in_a_subdirectory(tmp_path: Path, write_tensors: WriteTensors) -> None:
    write_tensors({"a": b"a"}, name="parts/one.safetensors")
    write_index(tmp_path, {"weight_map": {"a": "parts/one.safetensors"}})
    assert open_checkpoint(tmp_path)["a"].data.path == tmp_path / "parts" / "one.safetensors"


def test_shards_that_are_links_as_in_the_hubs_cache(tmp_path: Path, write_tensors: WriteTensors) -> None:
    blob = write_tensors({"a": b"a"}, name="blobs/0123abcd")
    snapshot = tmp_path / "snapshots" / "main"
    snapshot.mkdir(parents=True)
    (snapshot / "one.safetensors").symlink_to(Path("../../blobs") / blob.name)
    write_index(snapshot, {"weight_map": {"a": "one.safetensors"}})
    assert list(open_checkpoint(snapshot)) == ["a"]


def test_all_absent_shards_are_listed_at_once(tmp_path: Path, write_tensors: WriteTensors) -> None:
    write_tensors({"a": b"a"}, name="one.safetensors")
    (tmp_path / "three.safetensors").symlink_to(tmp_path / "nowhere")
    weight_map = {"a": "one.safetensors", "b": "two.safetensors", "c": "three.safetensors", "d": "x" * 300}
    write_index(tmp_path, {"weight_map": weight_map})
    with pytest.raises(MalformedCheckpoint) as raised:
        open_checkpoint(tmp_path)
    assert f"names 4 shards; 3 are absent: three.safetensors, two.safetensors, {'x' * 300}." in str(raised.value)


def test_all_disagreements_are_listed_at_once(tmp_path: Path, write_tensors: WriteTensors) -> None:
    write_tensors({"a": b"a", "stray": b"s", "moved": b"m"}, name="one.safetensors")
    write_tensors({"b": b"b"}, name="two.safetensors")
    weight_map = {"a": "one.safetensors", "b": "two.safetensors", "moved": "two.safetensors", "lost": "one.safetensors"}
    path = write_index(tmp_path, {"weight_map": weight_map})
    with pytest.raises(MalformedCheckpoint) as raised:
        open_checkpoint(tmp_path)
    for fact in (
        str(path),
        "'moved' (in two.safetensors, says the index)",
        "'lost' (in one.safetensors, says the index)",
        "'stray' (in one.safetensors)",
        "'moved' (in one.safetensors)",
    ):
        assert fact in str(raised.value)


def test_a_broken_shard_is_named(tmp_path: Path) -> None:
    (tmp_path / "one.safetensors").write_bytes(b"123")
    write_index(tmp_path, {"weight_map": {"a": "one.safetensors"}})
    with pytest.raises(MalformedCheckpoint, match=r"one\.safetensors is 3 bytes long"):
        open_checkpoint(tmp_path)


def test_an_index_too_large_to_be_one(tmp_path: Path) -> None:
    path = tmp_path / INDEX
    with path.open("wb") as file:
        file.truncate(10**12)
    with pytest.raises(MalformedCheckpoint, match="1000000000000 bytes long"):
        read_index(path)


def test_a_missing_index(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such file"):
        open_checkpoint(tmp_path / INDEX)


def test_a_tensor_that_can_not_be_read_is_there_nevertheless(tmp_path: Path) -> None:
    import torch

    torch.save({"a": torch.ones(2), "s": torch.eye(3).to_sparse()}, tmp_path / "pytorch_model-00001-of-00002.bin")
    torch.save({"b": torch.ones(2)}, tmp_path / "pytorch_model-00002-of-00002.bin")
    weight_map = {
        "a": "pytorch_model-00001-of-00002.bin",
        "s": "pytorch_model-00001-of-00002.bin",
        "b": "pytorch_model-00002-of-00002.bin",
    }
    write_index(tmp_path, {"weight_map": weight_map}, "pytorch_model.bin.index.json")
    checkpoint = open_checkpoint(tmp_path)
    assert list(checkpoint) == ["a", "b"]
    assert list(checkpoint.unsupported) == ["s"]
    write_index(tmp_path, {"weight_map": weight_map | {"s": weight_map["b"]}}, "pytorch_model.bin.index.json")
    with pytest.raises(MalformedCheckpoint, match=r"'s' \(in pytorch_model-00002-of-00002\.bin, says the index\)"):
        open_checkpoint(tmp_path)
