"""A save dies at each of its calls to the system; what is left is the earlier save or the new one, never a mixture."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import safetensors

from zoo.checkpoint import DirectoryTransaction, DType, TensorPlan, open_checkpoint, plan_shards, read_bytes
from zoo.errors import CheckpointError, SaveError

CALLS = ("fsync", "mkdir", "open", "posix_fallocate", "rename", "replace", "rmdir", "unlink", "write")


class Died(BaseException):
    """Stands for the end of the process."""


@dataclass(frozen=True)
class State:
    """What a directory holds: the tensors, and the files beside them."""

    tensors: Mapping[str, bytes]
    files: Mapping[str, bytes]
    limit: int | None = field(default=None, compare=False)


def old(limit: int | None = None, **files: bytes) -> State:
    return State({"a": b"old a", "b": b"old b", "c": b"old c"}, files, limit)


def new(limit: int | None = None, **files: bytes) -> State:
    return State({"a": b"new a", "b": b"new b", "d": b"new d"}, files, limit)


SCENARIOS: dict[str, tuple[State | None, State]] = {
    "first, one file": (None, new(config=b"new")),
    "first, shards": (None, new(5, config=b"new")),
    "one file over one, only the weights differ": (old(config=b"same"), new(config=b"same")),
    "one file over one": (old(config=b"old", tokenizer=b"old"), new(config=b"new", tokenizer=b"new")),
    "one file over one, a small file goes": (old(config=b"same", template=b"old"), new(config=b"same")),
    "shards over one file": (old(config=b"same"), new(5, config=b"same")),
    "one file over shards": (old(5, config=b"same"), new(config=b"same")),
    "shards over as many, of the same names": (old(5, config=b"same"), new(5, config=b"same")),
    "shards over more": (old(5, config=b"old"), new(10, config=b"new")),
    "shards over fewer": (old(10, config=b"old"), new(5, config=b"new")),
}


def save(directory: Path, state: State, *, sync: bool) -> None:
    plan = plan_shards([TensorPlan(name, DType.U8, (len(data),)) for name, data in state.tensors.items()], state.limit)
    with DirectoryTransaction(directory, sync=sync) as transaction:
        transaction.write_tensors(plan, lambda name: state.tensors[name])
        for name in ("config", "tokenizer", "template"):
            if name in state.files:
                transaction.write_file(name, state.files[name])
            else:
                transaction.remove_file(name)


def seen_by_zoo(directory: Path) -> State | None:
    """The state that zoo reads; None when it refuses."""
    try:
        checkpoint = open_checkpoint(directory)
    except CheckpointError:
        return None
    tensors = {name: b"".join(map(bytes, read_bytes(record))) for name, record in checkpoint.items()}
    files = checkpoint.side_files
    names = [name for name in files.names() if not name.startswith("model")]
    return State(tensors, {name: files.read(name) or b"" for name in names})


def seen_by_others(directory: Path) -> State | None:
    """The state for a program that knows final names only, looking as transformers does; None when it refuses."""
    index = directory / "model.safetensors.index.json"
    if (directory / "model.safetensors").exists():
        shards = {"model.safetensors"}
    elif index.exists():
        shards = set(json.loads(index.read_bytes())["weight_map"].values())
    else:
        return None
    if not all((directory / shard).exists() for shard in shards):
        return None
    tensors = {
        name: bytes(view["data"])
        for shard in shards
        for name, view in safetensors.deserialize((directory / shard).read_bytes())
    }
    files = {path.name: path.read_bytes() for path in directory.iterdir() if path.is_file()}
    return State(tensors, {name: content for name, content in files.items() if not name.startswith("model")})


def generations_of_weights(directory: Path) -> set[bytes]:
    """Whose weights lie under final names, for programs that take every *.safetensors that they find."""
    return {
        bytes(view["data"])[:3]
        for path in directory.glob("*.safetensors")
        for _, view in safetensors.deserialize(path.read_bytes())
    }


@contextmanager
def dying_at(
    number: int, patch: pytest.MonkeyPatch, death: Callable[[], BaseException], *, once: bool
) -> Iterator[list[str]]:
    """Raise at the call of that number and, unless `once`, at all later ones: the dead don't clean up."""
    calls: list[str] = []

    def wrap(name: str) -> Callable[..., Any]:
        # Flushing takes most of the time, and what it does can't be seen from here.
        really = getattr(os, name) if name != "fsync" else lambda descriptor: None

        def call(*arguments: Any, **options: Any) -> Any:
            calls.append(name)
            if len(calls) == number or (len(calls) > number and not once):
                raise death()
            return really(*arguments, **options)

        return call

    with patch.context() as patched:
        for name in CALLS:
            if hasattr(os, name):
                patched.setattr(os, name, wrap(name))
        yield calls


def prepare(directory: Path, state: State | None) -> None:
    shutil.rmtree(directory, ignore_errors=True)
    if state is not None:
        save(directory, state, sync=False)


@pytest.mark.parametrize(
    ("scenario", "sync"), [*((scenario, True) for scenario in SCENARIOS), ("shards over fewer", False)]
)
def test_the_process_dies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scenario: str, sync: bool) -> None:
    before, after = SCENARIOS[scenario]
    directory = tmp_path / "out"
    only_weights_differ = before is not None and before.files == after.files and before.limit is after.limit is None
    seen: list[State | None] = []
    for number in range(1, 1000):
        prepare(directory, before)
        with dying_at(number, monkeypatch, Died, once=False) as calls, suppress(Died):
            save(directory, after, sync=sync)
        if len(calls) < number:
            break
        state = seen_by_zoo(directory)
        assert state in (before, after), f"call {number}: {calls[number - 1]}"
        seen.append(state)
        others = seen_by_others(directory)
        assert others in (before, after, None), f"call {number}: {calls[number - 1]}"
        assert others is not None or not only_weights_differ
        assert len(generations_of_weights(directory)) <= 1
        if others is None and before is not None:
            assert state == after, "what other programs refuse is complete for zoo"

        rescued = State({"z": b"third"}, {"config": b"third"})
        save(directory, rescued, sync=False)
        assert seen_by_zoo(directory) == seen_by_others(directory) == rescued
        assert not (directory / ".zoo-save").exists()
    else:
        pytest.fail("the save never came to its end")
    assert number > 10
    assert seen_by_zoo(directory) == seen_by_others(directory) == after
    first_new = seen.index(after)
    assert all(state == after for state in seen[first_new:]), "once it counts, it counts"
    assert first_new > 5


@pytest.mark.parametrize("scenario", ["first, shards", "one file over one", "shards over fewer"])
def test_the_system_refuses_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scenario: str) -> None:
    """An error leaves the earlier save; or, when the new one counts already, the next save finishes it."""
    before, after = SCENARIOS[scenario]
    directory = tmp_path / "out"
    for number in range(1, 1000):
        prepare(directory, before)
        untouched = sorted(directory.iterdir()) if directory.exists() else None
        failure: SaveError | None = None
        with dying_at(number, monkeypatch, lambda: OSError(5, "Input/output error"), once=True) as calls:
            try:
                save(directory, after, sync=True)
            except SaveError as error:
                failure = error
        if len(calls) < number:
            break
        assert failure is not None, f"call {number}: {calls[number - 1]}"
        assert "Input/output error" in str(failure)
        state = seen_by_zoo(directory)
        assert state in (before, after)
        if state == before and before is not None:
            assert sorted(directory.iterdir()) == untouched, f"call {number}: {calls[number - 1]}"
        save(directory, after, sync=False)
        assert seen_by_zoo(directory) == seen_by_others(directory) == after
        assert not (directory / ".zoo-save").exists()
    else:
        pytest.fail("the save never came to its end")
