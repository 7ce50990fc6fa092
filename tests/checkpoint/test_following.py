"""A file is compared while it is written, and what goes wrong on either side ends both."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from zoo.checkpoint import DType, TensorPlan, open_checkpoint, plan_shards, read_bytes
from zoo.checkpoint.compare import compare_written
from zoo.checkpoint.file_transaction import FileTransaction
from zoo.checkpoint.following import Follower, Ready
from zoo.errors import CheckpointError

SIZE = 3 * 2**20
PLAN = plan_shards([TensorPlan(name, DType.U8, (SIZE,)) for name in "abcd"])


def contents(name: str) -> bytes:
    return name.encode() * SIZE


def write(path: Path, source: object = contents, *, jobs: int = 2) -> None:
    with FileTransaction(path, sync=False) as output:
        output.write_tensors(PLAN, source, verify=True, jobs=jobs)  # type: ignore[arg-type]


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("zoo")]


def test_what_is_read_has_been_written() -> None:
    events = []

    def read(ready: Ready) -> None:
        for position in (1, 10, 5, 20):
            ready(position)
            events.append(f"read {position}")

    follower = Follower(read)
    for position in (10, 15, 20):
        events.append(f"write {position}")
        follower.advance(position)
    follower.finish()
    for position in (1, 10, 5):
        assert events.index("write 10") < events.index(f"read {position}")
    assert events.index("write 20") < events.index("read 20") == len(events) - 1


def test_reading_ends_when_no_more_will_be_written() -> None:
    reached = []

    def read(ready: Ready) -> None:
        ready(5)
        reached.append(5)
        ready(10)
        reached.append(10)

    follower = Follower(read)
    follower.advance(7)
    assert follower.stop() is None
    assert 10 not in reached and threads() == []


def test_a_comparison_begins_before_the_end_of_the_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last tensor is written only when the first one has been compared: both went on side by side."""
    compared = threading.Event()

    def compare(*arguments: object, **options: object) -> None:
        ready = options["ready"]

        def told(position: int) -> None:
            ready(position)  # type: ignore[operator]
            if position > SIZE // 2:
                compared.set()

        compare_written(*arguments, **{**options, "ready": told})  # type: ignore[arg-type]

    def source(name: str) -> Iterator[bytes]:
        if name == "d" and threading.current_thread() is threading.main_thread():
            assert compared.wait(60)
        yield contents(name)

    monkeypatch.setattr("zoo.checkpoint.staging.compare_written", compare)
    write(tmp_path / "x.safetensors", source)
    checkpoint = open_checkpoint(tmp_path / "x.safetensors")
    assert {name: b"".join(read_bytes(checkpoint[name])) for name in checkpoint} == {n: contents(n) for n in "abcd"}


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_source_that_does_not_give_the_same_twice(tmp_path: Path, jobs: int) -> None:
    calls: list[str] = []

    def source(name: str) -> bytes:
        calls.append(name)
        return bytes([len(calls)]) * SIZE

    with pytest.raises(CheckpointError, match="is not that of the source"):
        write(tmp_path / "x.safetensors", source, jobs=jobs)
    assert list(tmp_path.iterdir()) == [] and threads() == []


def test_an_error_of_the_source_ends_the_comparison(tmp_path: Path) -> None:
    def source(name: str) -> bytes:
        if name == "c":
            raise CheckpointError("c can't be read.")
        return contents(name)

    with pytest.raises(CheckpointError, match=r"c can't be read\."):
        write(tmp_path / "x.safetensors", source)
    assert list(tmp_path.iterdir()) == [] and threads() == []


def test_file_systems_that_can_not_claim_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There, too, the file has its full length from the beginning, or its header would be called wrong."""

    def refuse(descriptor: int, offset: int, length: int) -> None:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    write(tmp_path / "x.safetensors")
    assert list(open_checkpoint(tmp_path / "x.safetensors")) == list("abcd")
