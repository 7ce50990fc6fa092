from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from zoo.checkpoint import DType, EncodedBytes, TensorRecord, read_bytes
from zoo.checkpoint.safetensors import open_file
from zoo.errors import CheckpointError, MalformedCheckpoint

WriteTensors = Callable[..., Path]


@pytest.mark.parametrize(("chunk", "pieces"), [(100, 1), (10, 1), (4, 3), (1, 10)])
def test_a_tensor_in_pieces_of_bounded_size(write_tensors: WriteTensors, chunk: int, pieces: int) -> None:
    record = open_file(write_tensors({"before": b"xx", "w": b"0123456789", "after": b"yy"}))["w"]
    parts = list(read_bytes(record, chunk))
    assert b"".join(map(bytes, parts)) == b"0123456789"
    assert len(parts) == pieces


def test_an_empty_tensor_needs_no_file(write_tensors: WriteTensors) -> None:
    path = write_tensors({"w": b""})
    record = open_file(path)["w"]
    path.unlink()
    assert list(read_bytes(record)) == []


def test_a_file_that_shrank_since(write_tensors: WriteTensors) -> None:
    path = write_tensors({"w": b"0123456789"})
    record = open_file(path)["w"]
    end = record.data.offset + 10
    os.truncate(path, end - 3)
    with pytest.raises(MalformedCheckpoint) as raised:
        list(read_bytes(record))
    for fact in (str(path), "'w'", f"bytes {end - 10}..{end}", f"now ends at {end - 3}"):
        assert fact in str(raised.value)


def test_a_file_that_is_gone_since(write_tensors: WriteTensors) -> None:
    path = write_tensors({"w": b"0123456789"})
    record = open_file(path)["w"]
    path.unlink()
    with pytest.raises(CheckpointError, match="no such file"):
        list(read_bytes(record))


def encoded(pieces: list[bytes]) -> TensorRecord:
    def decode() -> Iterator[bytes]:
        yield from pieces

    return TensorRecord("w", DType.F16, (3,), EncodedBytes(Path("x.gguf"), 0, 2, "Q4_1", decode))


def test_encoded_tensors_are_decoded() -> None:
    assert b"".join(map(bytes, read_bytes(encoded([b"ab", b"cdef"])))) == b"abcdef"


@pytest.mark.parametrize("pieces", [[b"ab"], [b"abcd", b"efgh"]])
def test_a_decoder_that_gives_the_wrong_amount(pieces: list[bytes]) -> None:
    with pytest.raises(MalformedCheckpoint) as raised:
        list(read_bytes(encoded(pieces)))
    for fact in ("x.gguf", "'w' (Q4_1)", f"decoded to {sum(map(len, pieces))} bytes", "F16 of shape [3] takes 6"):
        assert fact in str(raised.value)
