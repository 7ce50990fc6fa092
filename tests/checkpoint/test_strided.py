"""Views into storages come out as torch's own contiguous() has them."""

from __future__ import annotations

import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo.checkpoint import DType, StoredBytes, TensorRecord, read_bytes, strided
from zoo.checkpoint.reading import stored_bytes
from zoo.checkpoint.records import StridedBytes
from zoo.errors import MalformedCheckpoint

START = 40  # where the storage begins in the file
TYPES = {
    torch.uint8: (DType.U8, 1),
    torch.int16: (DType.I16, 2),
    torch.int32: (DType.I32, 4),
    torch.int64: (DType.I64, 8),
}


def stored(path: Path, tensor: torch.Tensor, swapped: int = 0) -> TensorRecord:
    """A file that holds the tensor's storage, and the record of the view."""
    dtype, itemsize = TYPES[tensor.dtype]
    storage = torch.tensor([], dtype=torch.uint8).set_(tensor.untyped_storage())
    if swapped:
        storage = storage.reshape(-1, swapped).flip(1)
    path.write_bytes(os.urandom(START) + storage.numpy().tobytes() + b"after")
    reach = 0
    if tensor.numel():
        reach = sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True)) + 1
    data = StridedBytes(
        path,
        START + tensor.storage_offset() * itemsize,
        reach * itemsize,
        itemsize,
        tuple(tensor.shape),
        tensor.stride(),
        swapped,
    )
    return TensorRecord("w", dtype, tuple(tensor.shape), data)


def read(record: TensorRecord) -> bytes:
    return b"".join(map(bytes, read_bytes(record)))


def expected(tensor: torch.Tensor) -> bytes:
    return tensor.contiguous().numpy().tobytes()


def numbered(*shape: int, dtype: torch.dtype = torch.int32) -> torch.Tensor:
    return torch.arange(torch.Size(shape).numel()).to(dtype).reshape(shape)


VIEWS: dict[str, Callable[[], torch.Tensor]] = {
    "a transpose": lambda: numbered(300, 500).t(),
    "a tall transpose": lambda: numbered(3, 70_000).t(),
    "columns": lambda: numbered(1000, 100)[:, 10:20],
    "rows": lambda: numbered(1000, 100)[10:20],
    "every third row": lambda: numbered(1000, 100)[::3],
    "every seventh column": lambda: numbered(1000, 100)[:, ::7],
    "channels last": lambda: numbered(16, 24, 7, 9).to(memory_format=torch.channels_last),
    "a permutation": lambda: numbered(5, 6, 7, 8).permute(2, 0, 3, 1),
    "a repeated row": lambda: numbered(70).expand(50, 70),
    "a repeated column": lambda: numbered(50, 1).expand(50, 70),
    "one element, repeated": lambda: numbered(1).expand(40, 50),
    "windows a step apart": lambda: numbered(1000).unfold(0, 2, 1),
    "overlapping windows": lambda: numbered(1000).unfold(0, 10, 3),
    "overlapping windows of two dimensions": lambda: numbered(20, 30).unfold(0, 4, 1).unfold(1, 5, 2),
    "a diagonal": lambda: numbered(60, 60).diagonal(),
    "one element": lambda: numbered(10)[7],
    "one element of many dimensions": lambda: numbered(10, 10)[3:4, 2:3],
    "no element": lambda: numbered(10, 10)[:, 3:3],
    "far apart": lambda: numbered(100, 5000)[:, 17],
    "bytes": lambda: numbered(200, 30, dtype=torch.uint8).t(),
    "wide elements": lambda: numbered(200, 30, dtype=torch.int64).t(),
}


@pytest.mark.parametrize("block", [64, 3000, None])
@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
def test_views(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, view: Callable[[], torch.Tensor], block: int | None
) -> None:
    if block is not None:
        monkeypatch.setattr(strided, "BLOCK_BYTES", block)
        monkeypatch.setattr(strided, "READ_BYTES", block // 2)
    tensor = view()
    record = stored(tmp_path / "storage", tensor)
    pieces = list(read_bytes(record))
    assert b"".join(map(bytes, pieces)) == expected(tensor)
    if block is not None and stored_bytes(record) is None:
        assert max(memoryview(piece).nbytes for piece in pieces) <= block


@st.composite
def views(draw: st.DrawFn) -> torch.Tensor:
    """Any view with non-negative strides, overlapping ones too."""
    rank = draw(st.integers(0, 5))
    shape = [draw(st.integers(0, 6)) for _ in range(rank)]
    strides = [draw(st.one_of(st.integers(0, 12), st.integers(0, 3000))) for _ in range(rank)]
    offset = draw(st.integers(0, 20))
    reach = sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True) if size) + 1
    dtype = draw(st.sampled_from(list(TYPES)))
    storage = torch.randint(0, 200, (offset + max(reach, 1),)).to(dtype)
    return storage.as_strided(shape, strides, offset)


@settings(max_examples=300, deadline=None)
@given(tensor=views(), block=st.integers(8, 300), read=st.integers(8, 300), gap=st.integers(0, 200))
def test_any_view_is_what_torch_makes_contiguous(
    tmp_path_factory: pytest.TempPathFactory, tensor: torch.Tensor, block: int, read: int, gap: int
) -> None:
    record = stored(tmp_path_factory.getbasetemp() / "view", tensor)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(strided, "BLOCK_BYTES", block)
        patch.setattr(strided, "READ_BYTES", read)
        patch.setattr(strided, "_GAP", gap)
        assert b"".join(map(bytes, read_bytes(record))) == expected(tensor)


@pytest.mark.parametrize("contiguous", [True, False])
@pytest.mark.parametrize(
    ("dtype", "swapped"), [(torch.int16, 2), (torch.int32, 4), (torch.int64, 8), (torch.int64, 4), (torch.uint8, 1)]
)
def test_big_endian_storages(tmp_path: Path, dtype: torch.dtype, swapped: int, contiguous: bool) -> None:
    """A complex number is swapped in halves."""
    tensor = torch.randint(0, 127, (12, 10)).to(dtype)
    tensor = tensor if contiguous else tensor.t()
    assert read(stored(tmp_path / "storage", tensor, swapped)) == expected(tensor)


def test_a_view_that_is_contiguous_after_all_is_a_range_of_the_file(tmp_path: Path) -> None:
    record = stored(tmp_path / "storage", numbered(8, 3, 5)[2:6, :, :])
    assert stored_bytes(record) == StoredBytes(tmp_path / "storage", START + 2 * 15 * 4, 4 * 15 * 4)
    ones = torch.zeros(100, dtype=torch.int32).as_strided((1, 4, 1, 5), (77, 5, 13, 1))
    assert stored_bytes(stored(tmp_path / "storage", ones)) == StoredBytes(tmp_path / "storage", START, 80)


@pytest.mark.parametrize("view", ["a transpose", "columns", "rows", "far apart", "a repeated row"])
def test_a_file_that_is_too_short(tmp_path: Path, view: str) -> None:
    record = stored(tmp_path / "storage", VIEWS[view]())
    end = record.data.offset + record.data.nbytes
    os.truncate(tmp_path / "storage", end - 1)
    with pytest.raises(MalformedCheckpoint) as raised:
        read(record)
    for fact in ("storage", "'w'", f"bytes {record.data.offset}..{end}", f"now ends at {end - 1}"):
        assert fact in str(raised.value)


@pytest.mark.parametrize("shape", [(2000, 8000), (8000, 2000), (16_000_000, 1)])
def test_memory_is_bounded_whatever_the_size(tmp_path: Path, shape: tuple[int, int]) -> None:
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.truncate(128_000_000)
    rows, columns = shape
    data = StridedBytes(path, 0, 128_000_000, 4, (columns, rows), (2, 2 * columns))
    tracemalloc.start()
    try:
        total = sum(
            memoryview(piece).nbytes for piece in read_bytes(TensorRecord("w", DType.I32, (columns, rows), data))
        )
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()
    assert total == 64_000_000
