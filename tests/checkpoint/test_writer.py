from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from zoo.checkpoint import DType, TensorPlan, plan_shards
from zoo.checkpoint.plan import FilePlan
from zoo.checkpoint.safetensors import open_file
from zoo.checkpoint.writer import safetensors_header, write_safetensors
from zoo.errors import SaveError


def plan(**sizes: int) -> FilePlan:
    return plan_shards(TensorPlan(name, DType.U8, (size,)) for name, size in sizes.items()).files[0]


def written(path: Path, name: str) -> bytes:
    data = open_file(path)[name].data
    return path.read_bytes()[data.offset : data.offset + data.nbytes]


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "model.safetensors"


def test_the_header_is_aligned_and_sorted() -> None:
    header = safetensors_header(plan(w=1), {"z": "1", "a": "2"})
    assert len(header) % 8 == 0
    assert header[8:].rstrip() == (
        b'{"__metadata__":{"a":"2","z":"1"},"w":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}'
    )


SOURCES: dict[str, Any] = {
    "bytes": b"123456",
    "a bytearray": bytearray(b"123456"),
    "a view": memoryview(b"123456"),
    "several buffers": [b"12", b"", bytearray(b"345"), memoryview(b"6")],
    "a generator": (b"%d" % digit for digit in range(1, 7)),
    "a view of wider elements": memoryview(b"123456").cast("H"),
    "a view of two dimensions": memoryview(b"123456").cast("B", (2, 3)),
    "an array of another library": memoryview((ctypes.c_ubyte * 6)(*b"123456")),
}


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_sources_of_all_kinds(target: Path, source: Any) -> None:
    write_safetensors(target, plan(w=6), lambda name: source)
    assert written(target, "w") == b"123456"


def test_large_and_small_tensors_keep_their_order(target: Path) -> None:
    """Small ones are gathered, large ones are not; neither may overtake the other."""
    sizes = {f"t{number}": (10, 300_000, 5, 40_000_000, 262_144, 262_145, 1)[number] for number in range(7)}
    reported: list[int] = []
    write_safetensors(
        target, plan(**sizes), lambda name: name[1:].encode() * sizes[name], sync=False, progress=reported.append
    )
    for name, size in sizes.items():
        assert written(target, name) == name[1:].encode() * size
    assert sum(reported) == sum(sizes.values())
    assert max(reported) <= 2**24, "progress comes in steps that a display can show"


def test_the_source_is_asked_once_in_the_order_of_the_file(target: Path) -> None:
    asked: list[str] = []

    def source(name: str) -> bytes:
        asked.append(name)
        return b"1"

    write_safetensors(target, plan(b=1, c=1, a=1), source)
    assert asked == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("given", "amount"),
    [
        (b"12345", "only 5"),
        (b"1234567", "at least 7"),
        ([b"123", b"45"], "only 5"),
        ([b"1234", b"567", b"8"], "at least 7"),
        (b"", "only 0"),
        ([], "only 0"),
    ],
)
def test_a_source_that_gives_the_wrong_amount(target: Path, given: bytes | Iterable[bytes], amount: str) -> None:
    with pytest.raises(SaveError) as raised:
        write_safetensors(target, plan(w=6), lambda name: given)
    for fact in ("'w'", "U8 of shape [6] takes 6 bytes", f"its source gave {amount}"):
        assert fact in str(raised.value)


def test_a_source_whose_bytes_are_not_contiguous(target: Path) -> None:
    with pytest.raises(SaveError, match=r"'w'.*not contiguous"):
        write_safetensors(target, plan(w=3), lambda name: memoryview(b"123456")[::2])


def test_the_error_of_a_source_is_its_own(target: Path) -> None:
    def source(name: str) -> bytes:
        raise OSError(errno.ENOSPC, "not about the target")

    with pytest.raises(OSError, match="not about the target"):
        write_safetensors(target, plan(w=3), source)


def test_a_system_that_takes_less_than_it_is_given(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[: len(data) // 2 + 1]))
    content = os.urandom(600_000)
    write_safetensors(target, plan(w=600_000), lambda name: content)
    assert written(target, "w") == content


def test_a_system_that_takes_nothing(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "write", lambda descriptor, data: 0)
    with pytest.raises(SaveError, match="took no byte"):
        write_safetensors(target, plan(w=3), lambda name: b"123")


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="space can't be claimed here")
class TestPreallocation:
    def test_a_disk_without_room_is_noticed_before_anything_is_written(
        self, target: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(descriptor: int, offset: int, length: int) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(os, "posix_fallocate", full)
        monkeypatch.setattr(os, "write", None)
        with pytest.raises(
            SaveError, match=r"model\.safetensors of \d+ bytes can't be written: No space left"
        ) as raised:
            write_safetensors(target, plan(w=3), lambda name: b"123")
        assert "Free some space" in str(raised.value)

    def test_a_file_system_that_can_not_do_it(self, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def unable(descriptor: int, offset: int, length: int) -> None:
            raise OSError(errno.EOPNOTSUPP, "Operation not supported")

        monkeypatch.setattr(os, "posix_fallocate", unable)
        write_safetensors(target, plan(w=3), lambda name: b"123")
        assert written(target, "w") == b"123"

    def test_a_system_that_does_not_know_it(self, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delattr(os, "posix_fallocate")
        write_safetensors(target, plan(w=3), lambda name: b"123")
        assert written(target, "w") == b"123"


def test_an_existing_file_is_not_overwritten(target: Path) -> None:
    target.write_bytes(b"precious")
    with pytest.raises(SaveError, match=r"model\.safetensors can't be created: File exists"):
        write_safetensors(target, plan(w=3), lambda name: b"123")
    assert target.read_bytes() == b"precious"


@pytest.mark.parametrize(
    ("metadata", "said"),
    [({"k": 1}, "'k'"), ({1: "v"}, "'1'"), ({"k": "\ud800"}, "surrogate"), ({"\ud800": "v"}, "surrogate")],
)
def test_metadata_that_are_no_text(target: Path, metadata: Any, said: str) -> None:
    with pytest.raises(SaveError, match="__metadata__") as raised:
        write_safetensors(target, plan(w=3), lambda name: b"123", metadata=metadata)
    assert said in str(raised.value)
    assert not target.exists()


def test_more_tensors_than_a_reader_takes(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zoo.checkpoint.writer.MAX_HEADER_BYTES", 100)
    with pytest.raises(SaveError, match=r"header for 3 tensors takes \d+ bytes.*100") as raised:
        write_safetensors(target, plan(a=1, b=1, c=1), lambda name: b"1")
    assert "smaller max_shard_size" in str(raised.value)


def test_permissions_follow_the_umask(target: Path) -> None:
    before = os.umask(0o027)
    try:
        write_safetensors(target, plan(w=3), lambda name: b"123")
    finally:
        os.umask(before)
    assert target.stat().st_mode & 0o777 == 0o640
