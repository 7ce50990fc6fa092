"""The bytes of tensors for tools: read in chunks, never mapped. A file cut short under a mapping kills the process."""

from __future__ import annotations

from collections.abc import Iterator

from zoo.checkpoint.describe import quoted, shown_path
from zoo.checkpoint.records import EncodedBytes, StoredBytes, TensorRecord
from zoo.checkpoint.regular_file import open_regular, read_at
from zoo.errors import MalformedCheckpoint

__all__ = ["CHUNK_BYTES", "read_bytes"]

CHUNK_BYTES = 16 * 2**20


def read_bytes(record: TensorRecord, chunk: int = CHUNK_BYTES) -> Iterator[bytes | bytearray | memoryview]:
    """The elements of a tensor, row-major and little-endian, in pieces; what is encoded is decoded.

    chunk: the most bytes per piece for what is stored as it is; a decoder chooses its own.
    Raises MalformedCheckpoint when there are fewer bytes than the header said (the file has changed since).
    """
    if isinstance(record.data, StoredBytes):
        yield from _stored(record, record.data, chunk)
    else:
        yield from _decoded(record, record.data)


def _stored(record: TensorRecord, data: StoredBytes, chunk: int) -> Iterator[bytes]:
    if not data.nbytes:
        return
    with open_regular(data.path) as (descriptor, _):
        position, end = data.offset, data.offset + data.nbytes
        while position < end:
            part = read_at(descriptor, min(chunk, end - position), position, data.path)
            if not part:
                raise MalformedCheckpoint(
                    f"{shown_path(data.path)}: tensor {quoted(record.name)} spans bytes {data.offset}..{end}, "
                    f"but the file now ends at {position}; it was cut short after its header was read."
                )
            yield part
            position += len(part)


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
