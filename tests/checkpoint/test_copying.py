"""Ranges of files arrive as they are, by whatever way the system offers."""

from __future__ import annotations

import errno
import itertools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from zoo.checkpoint import DType, StoredBytes, TensorPlan, copying, plan_shards
from zoo.checkpoint.copying import copy_range
from zoo.checkpoint.output import OutputFile
from zoo.checkpoint.safetensors import open_file
from zoo.checkpoint.writer import write_safetensors
from zoo.errors import MalformedCheckpoint, SaveError

CONTENT = os.urandom(3 * copying.STEP_BYTES // 2)
WAYS = {
    "the best way": copying._WAYS,
    "between descriptors": copying._WAYS[-2:],
    "through this process": copying._WAYS[-1:],
}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source.bin"
    path.write_bytes(CONTENT)
    return path


MATCHING = len(b"before") + 4096
"""From here to behind b"before" the pages of both files match."""


def copied(source: Path, target: Path, offset: int, length: int, **options: Any) -> bytes:
    with source.open("rb") as reading, target.open("wb") as writing:
        writing.write(b"before")
        writing.flush()
        copy_range(reading.fileno(), writing.fileno(), offset, length, source, **options)
    return target.read_bytes()


@pytest.mark.parametrize("offset", [77, MATCHING])
@pytest.mark.parametrize("ways", WAYS.values(), ids=WAYS)
def test_every_way_copies_the_same(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ways: tuple[Any, ...], offset: int
) -> None:
    monkeypatch.setattr(copying, "_WAYS", ways)
    steps: list[int] = []
    length = len(CONTENT) - 5000
    result = copied(source, tmp_path / "target", offset, length, progress=steps.append)
    assert result == b"before" + CONTENT[offset:][:length]
    assert sum(steps) == length
    assert max(steps) <= copying.STEP_BYTES


@pytest.mark.parametrize("ways", WAYS.values(), ids=WAYS)
def test_a_source_that_became_shorter(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ways: tuple[Any, ...]
) -> None:
    monkeypatch.setattr(copying, "_WAYS", ways)
    with pytest.raises(MalformedCheckpoint, match=r"source\.bin: bytes \d+\.\.\d+ .* cut short"):
        copied(source, tmp_path / "target", MATCHING, len(CONTENT))


@pytest.mark.parametrize("code", [errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_system_that_can_not_falls_back(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def unable(*arguments: Any) -> int:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(copying, "_WAYS", (unable, lambda *arguments: 0, copying._WAYS[-1]))
    assert copied(source, tmp_path / "target", MATCHING, 1000) == b"before" + CONTENT[MATCHING:][:1000]


def test_a_full_disk_is_no_reason_to_try_another_way(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(copying, "_WAYS", (full, copying._WAYS[-1]))
    target = tmp_path / "target"
    with pytest.raises(SaveError, match="No space left") as raised, OutputFile(target, sync=False) as output:
        output.copy(StoredBytes(source, 0, 10**6))
    assert "Free some space" in str(raised.value)


def pieces_of(source: Path, target: Path, write: Callable[[OutputFile], None]) -> bytes:
    with OutputFile(target, sync=False) as output:
        write(output)
    return target.read_bytes()


def test_ranges_and_buffers_keep_their_order(source: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.bin"
    other.write_bytes(b"other" * 100)

    def write(output: OutputFile) -> None:
        output.write(memoryview(b"a"))
        output.copy(StoredBytes(source, 5, 10))
        output.copy(StoredBytes(source, 15, 0))
        output.copy(StoredBytes(source, 15, 400_000))  # continues the one before
        output.write(memoryview(b"b"))
        output.copy(StoredBytes(other, 0, 7))
        output.copy(StoredBytes(source, 100, 7))
        output.write(memoryview(bytes(300_000)))
        output.copy(StoredBytes(other, 7, 7))

    assert pieces_of(source, tmp_path / "target", write) == (
        b"a" + CONTENT[5:400_015] + b"b" + b"otherot" + CONTENT[100:107] + bytes(300_000) + b"herothe"
    )


def test_neighbours_are_copied_at_once(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint of 100,000 small tensors in the order of its file takes a few calls, not 100,000."""
    calls: list[int] = []

    def counted(*arguments: Any) -> int:
        calls.append(arguments[3])
        return copying._read_and_write(*arguments)

    monkeypatch.setattr(copying, "_WAYS", (counted,))
    names = [f"t{number:04}" for number in range(1000)]
    plan = plan_shards(TensorPlan(name, DType.U8, (1000,)) for name in names).files[0]
    path = tmp_path / "model.safetensors"
    told: list[int] = []
    write_safetensors(
        path,
        plan,
        lambda name: StoredBytes(source, 50 + int(name[1:]) * 1000, 1000),
        sync=False,
        progress=told.append,
    )
    data = open_file(path)["t0000"].data
    assert path.read_bytes()[data.offset :] == CONTENT[50 : 50 + 10**6]
    assert len(calls) == 1
    assert sum(told) == 10**6


def test_what_is_done_meanwhile_happens_after_all_is_written(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "target"
    flushed: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: flushed.append(os.fstat(descriptor).st_size))
    seen: list[bytes] = []
    with OutputFile(target, sync=True, meanwhile=lambda: seen.append(target.read_bytes())) as output:
        output.copy(StoredBytes(source, 0, 10))
    assert seen == [CONTENT[:10]]
    assert flushed == [10]


@pytest.mark.parametrize("where", ["flush", "meanwhile"])
def test_errors_of_both_are_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    def fail(*arguments: Any) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail if where == "flush" else lambda descriptor: None)
    expected: type[Exception] = SaveError if where == "flush" else OSError
    meanwhile = fail if where == "meanwhile" else lambda: None
    with (
        pytest.raises(expected, match="Input/output error"),
        OutputFile(tmp_path / "target", sync=True, meanwhile=meanwhile) as output,
    ):
        output.write(memoryview(b"x"))


@pytest.mark.skipif(not hasattr(os, "posix_fadvise"), reason="the system takes no advice")
@pytest.mark.parametrize("sync", [True, False])
def test_the_disk_begins_while_more_is_copied(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sync: bool
) -> None:
    advised: list[tuple[int, int]] = []

    def refuse(descriptor: int, offset: int, length: int, advice: int) -> None:
        advised.append((offset, length))
        raise OSError(errno.EINVAL, "Invalid argument")  # to be refused is no error

    monkeypatch.setattr(os, "posix_fadvise", refuse)
    with OutputFile(tmp_path / "target", sync=sync) as output:
        for _ in range(4):
            output.write(memoryview(bytes(2**20)))
            output.copy(StoredBytes(source, 0, len(CONTENT)))
    assert (tmp_path / "target").read_bytes() == (bytes(2**20) + CONTENT) * 4
    assert bool(advised) is sync
    for before, after in itertools.pairwise(advised):
        assert after[0] == sum(before), "each byte is begun with once"
