"""The bytes of tensors for tools: read in chunks, never mapped. A file cut short under a mapping kills the process."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NoReturn

from zoo.checkpoint.describe import quoted, shown_path
from zoo.checkpoint.records import EncodedBytes, StoredBytes, StridedBytes, TensorRecord
from zoo.checkpoint.regular_file import open_regular, read_at
from zoo.checkpoint.strided import TooShort, contiguous_range, read_strided
from zoo.errors import MalformedCheckpoint

__all__ = ["CHUNK_BYTES", "read_bytes", "stored_bytes"]

CHUNK_BYTES = 16 * 2**20


def read_bytes(record: TensorRecord, chunk: int = CHUNK_BYTES) -> Iterator[bytes | bytearray | memoryview]:
    """The elements of a tensor, row-major and little-endian, in pieces; what is encoded is decoded.

    chunk: the most bytes per piece for what is stored as it is; a view or a decoder chooses its own.
    Raises MalformedCheckpoint when there are fewer bytes than the header said (the file has changed since).
    """
    stored = stored_bytes(record)
    if stored is not None:
        yield from _stored(record, stored, chunk)
    elif isinstance(record.data, StridedBytes):
        yield from _strided(record, record.data)
    elif isinstance(record.data, EncodedBytes):
        yield from _decoded(record, record.data)


def stored_bytes(record: TensorRecord) -> StoredBytes | None:
    """Where the elements lie as they are, row-major and little-endian; None when they must be gathered or decoded."""
    if isinstance(record.data, StridedBytes):
        contiguous = contiguous_range(record.data)
        return None if contiguous is None else StoredBytes(record.data.path, *contiguous)
    return record.data if isinstance(record.data, StoredBytes) else None


def _stored(record: TensorRecord, data: StoredBytes, chunk: int) -> Iterator[bytes]:
    if not data.nbytes:
        return
    with open_regular(data.path) as (descriptor, _):
        position, end = data.offset, data.offset + data.nbytes
        while position < end:
            part = read_at(descriptor, min(chunk, end - position), position, data.path)
            if not part:
                _refuse_end(record, data, position)
            yield part
            position += len(part)


def _strided(record: TensorRecord, data: StridedBytes) -> Iterator[memoryview]:
    with open_regular(data.path) as (descriptor, _):
        try:
            yield from read_strided(descriptor, data, data.path)
        except TooShort as error:
            _refuse_end(record, data, error.args[0])


def _refuse_end(record: TensorRecord, data: StoredBytes | StridedBytes, end: int) -> NoReturn:
    span = f"{data.offset}..{data.offset + data.nbytes}"
    raise MalformedCheckpoint(
        f"{shown_path(data.path)}: tensor {quoted(record.name)} spans bytes {span}, but the file now ends at {end}; "
        "it was cut short after its header was read."
    )


def _decoded(record: TensorRecord, data: EncodedBytes) -> Iterator[bytes | bytearray | memoryview]:
    total = 0
    for part in data.decode():
        total += memoryview(part).nbytes
        yield part
    if total != record.nbytes:
        raise MalformedCheckpoint(
            f"{shown_path(data.path)}: tensor {quoted(record.name)} ({data.encoding}) decoded to {total} bytes, "
            f"but {record.dtype.name} of shape {list(record.shape)} takes {record.nbytes}."
        )
