"""Reads tinyformat files. Torch-free, and only their beginning: the tensors stay where they are until wanted.

A file is a line "tinyformat 1", a line "name<tab>dtype<tab>2,3" for each tensor, an empty line, and the
elements of the tensors, back to back in the same order, row-major and little-endian. Types go by their names in
safetensors.

A file is data from a stranger: every length in it is a claim, and is checked before anything is done with it.
"""

from __future__ import annotations

import math
import re
from pathlib import Path

from zoo.checkpoint import Checkpoint, DType, StoredBytes, TensorRecord
from zoo.errors import CheckpointError, MalformedCheckpoint

__all__ = ["MAGIC", "open_file"]

MAGIC = b"tinyformat 1\n"

MAX_TABLE_BYTES = 16 * 1024 * 1024
"""The longest table that is read."""

MAX_RANK = 64
MAX_BYTES = 2**62

_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")


def open_file(path: Path) -> Checkpoint:
    """Open a file by its table alone.

    Raises MalformedCheckpoint where it is not as it must be, and CheckpointError when it can't be read.
    """
    try:
        with path.open("rb") as file:
            beginning = file.read(MAX_TABLE_BYTES)
            size = file.seek(0, 2)
    except OSError as error:
        raise CheckpointError(f"{path} can't be read: {error}.") from error
    table, end, _ = beginning.partition(b"\n\n")
    if not beginning.startswith(MAGIC) or not end:
        raise MalformedCheckpoint(
            f"{path}: expected a table that begins with {MAGIC!r} and ends with an empty line within "
            f"{MAX_TABLE_BYTES} bytes.",
            hint="It is another kind of file, or only its beginning is there; get it again.",
        )
    records: dict[str, TensorRecord] = {}
    offset = len(table) + len(end)
    for number, line in enumerate(table.split(b"\n")[1:], start=2):
        record = _record(path, number, line, offset)
        if record.name in records:
            raise MalformedCheckpoint(f"{path}: line {number}: there are two tensors {record.name!r}.")
        records[record.name] = record
        offset += record.nbytes
    if offset != size:
        raise MalformedCheckpoint(
            f"{path}: the tensors of its table end at byte {offset}, but the file ends at {size}.",
            hint="It is damaged or still being written; get it again.",
        )
    return Checkpoint(format="tinyformat", location=path, files=[path], records=records)


def _record(path: Path, number: int, line: bytes, offset: int) -> TensorRecord:
    """The tensor of a line, whose elements begin at `offset`."""
    place = f"{path}: line {number}"
    try:
        fields = line.decode().split("\t")
    except UnicodeDecodeError as error:
        raise MalformedCheckpoint(f"{place}: it is not UTF-8: {error}.") from error
    if len(fields) != 3 or not fields[0] or "\0" in fields[0]:
        raise MalformedCheckpoint(f"{place}: expected a name, a dtype and a shape between tabs, found {line[:80]!r}.")
    name, dtype_name, sizes = fields
    if dtype_name not in DType.__members__:
        raise MalformedCheckpoint(f"{place}: {dtype_name[:80]!r} is no dtype of {', '.join(DType.__members__)}.")
    dtype = DType[dtype_name]
    texts = sizes.split(",") if sizes else []
    if len(texts) > MAX_RANK or not all(map(_SIZE.fullmatch, texts)):
        raise MalformedCheckpoint(
            f"{place}: {sizes[:80]!r} is no shape: sizes with commas between, {MAX_RANK} at most."
        )
    shape = tuple(map(int, texts))
    if math.prod(max(size, 1) for size in shape) * dtype.bits > MAX_BYTES * 8:
        raise MalformedCheckpoint(f"{place}: a tensor of shape {list(shape)} is larger than any file.")
    if math.prod(shape) * dtype.bits % 8:
        raise MalformedCheckpoint(f"{place}: {list(shape)} elements of {dtype.bits} bits don't fill whole bytes.")
    return TensorRecord(name, dtype, shape, StoredBytes(path, offset, dtype.nbytes(math.prod(shape))))
