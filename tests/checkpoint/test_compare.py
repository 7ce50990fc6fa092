"""A written file is read again and compared: whatever differs is found and named."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from zoo.checkpoint import DType, StoredBytes, TensorPlan, plan_shards
from zoo.checkpoint.compare import compare_written, same_contents
from zoo.checkpoint.plan import FilePlan
from zoo.checkpoint.safetensors import open_file
from zoo.checkpoint.writer import HUB_METADATA, Piece, write_safetensors
from zoo.errors import CheckpointError, MalformedCheckpoint, SaveError

SIZES = {"a": 10, "b": 0, "c": 3_000_000, "d": 1, "e": 2**20, "f": 70_000_000}


class Source:
    """Tensors in one file; some are given as ranges, others in pieces."""

    def __init__(self, path: Path, sizes: Mapping[str, int]) -> None:
        self.path = path
        self.sizes = sizes
        self.offsets = {}
        position = 13
        for name, size in sizes.items():
            self.offsets[name] = position
            position += size + (name == "d") * 5  # not all are neighbours
        content = os.urandom(2**20)
        with path.open("wb") as file:
            while file.tell() < position:
                file.write(content)

    def __call__(self, name: str) -> Piece | Iterator[Piece]:
        whole = StoredBytes(self.path, self.offsets[name], self.sizes[name])
        return whole if name != "e" else self._in_pieces(whole)

    def _in_pieces(self, whole: StoredBytes) -> Iterator[Piece]:
        with self.path.open("rb") as file:
            file.seek(whole.offset)
            yield file.read(1000)
        yield StoredBytes(self.path, whole.offset + 1000, whole.nbytes - 1000)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    return Source(tmp_path_factory.mktemp("source") / "source.bin", SIZES)


@pytest.fixture(scope="module")
def plan() -> FilePlan:
    return plan_shards(TensorPlan(name, DType.U8, (size,)) for name, size in SIZES.items()).files[0]


@pytest.fixture
def written(tmp_path: Path, source: Source, plan: FilePlan) -> Path:
    path = tmp_path / "model.safetensors"
    write_safetensors(path, plan, source, sync=False)
    return path


def damage(path: Path, offset: int) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 1]))


@pytest.mark.parametrize("jobs", [1, 3])
def test_a_faithful_copy(written: Path, source: Source, plan: FilePlan, jobs: int) -> None:
    compare_written(written, plan, source, metadata=HUB_METADATA, jobs=jobs)


@pytest.mark.parametrize("jobs", [1, 3])
@pytest.mark.parametrize(
    ("name", "place"), [("a", 0), ("c", 2_999_999), ("d", 0), ("e", 5), ("e", 2**20 - 1), ("f", 69_000_000)]
)
def test_one_bit(written: Path, source: Source, plan: FilePlan, jobs: int, name: str, place: int) -> None:
    damage(written, open_file(written)[name].data.offset + place)
    with pytest.raises(CheckpointError, match=rf"model\.safetensors: tensor '{name}'.* byte {place} is not"):
        compare_written(written, plan, source, metadata=HUB_METADATA, jobs=jobs)


def test_other_metadata(written: Path, source: Source, plan: FilePlan) -> None:
    with pytest.raises(CheckpointError, match="__metadata__"):
        compare_written(written, plan, source, metadata={**HUB_METADATA, "b": "a"})


@pytest.mark.parametrize("other", [TensorPlan("a", DType.I8, (10,)), TensorPlan("a", DType.U8, (5, 2))])
def test_another_header(written: Path, source: Source, other: TensorPlan) -> None:
    tensors = [other, *(TensorPlan(name, DType.U8, (size,)) for name, size in SIZES.items() if name != "a")]
    with pytest.raises(CheckpointError, match="header is not what was written: see 'a'"):
        compare_written(written, plan_shards(tensors).files[0], source, metadata=HUB_METADATA)


def test_another_name(written: Path, source: Source) -> None:
    plan = plan_shards(TensorPlan(name.replace("c", "z"), DType.U8, (size,)) for name, size in SIZES.items()).files[0]
    with pytest.raises(CheckpointError, match="see 'c', 'z'"):
        compare_written(written, plan, source, metadata=HUB_METADATA)


def test_a_source_that_became_shorter(tmp_path: Path, plan: FilePlan) -> None:
    source = Source(tmp_path / "source.bin", SIZES)
    path = tmp_path / "model.safetensors"
    write_safetensors(path, plan, source, sync=False)
    os.truncate(tmp_path / "source.bin", source.offsets["f"] + 100)
    with pytest.raises(MalformedCheckpoint, match="cut short"):
        compare_written(path, plan, source, metadata=HUB_METADATA)


def test_a_source_that_gives_too_little(written: Path, source: Source, plan: FilePlan) -> None:
    def short(name: str) -> Piece | Iterator[Piece]:
        return StoredBytes(source.path, source.offsets["a"], 9) if name == "a" else source(name)

    with pytest.raises(SaveError, match=r"'a'.*only 9"):
        compare_written(written, plan, short, metadata=HUB_METADATA)


def test_same_contents(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_bytes(bytes(3_000_000))
    other.write_bytes(bytes(3_000_000))
    assert same_contents(one, other)
    damage(other, 2_999_999)
    assert not same_contents(one, other)
    other.write_bytes(bytes(2_999_999))
    assert not same_contents(one, other)


@pytest.mark.skipif(not hasattr(os, "preadv"), reason="this system has no preadv")
def test_a_disk_that_fails(written: Path, source: Source, plan: FilePlan, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*arguments: object) -> int:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "preadv", failing)
    compare_written(written, plan, source, metadata=HUB_METADATA)
    monkeypatch.setattr(os, "pread", failing)
    with pytest.raises(CheckpointError, match=r"can't be read at bytes .*: Input/output error"):
        compare_written(written, plan, source, metadata=HUB_METADATA)
