"""The header of a GGUF file: its key-values, and where its tensors are. Nothing here reads a tensor.

Follows the specification, versions 2 and 3 (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md), as strictly
as llama.cpp's own reader. Beyond that, tensors must not overlap.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from zoo.checkpoint.describe import quoted, shown_path
from zoo.checkpoint.regular_file import open_regular
from zoo.errors import MalformedCheckpoint, UnsupportedFeature
from zoo_gguf.cursor import HeaderCursor
from zoo_gguf.ggml import GGML_TYPES, UNREADABLE_TYPES, GGMLType
from zoo_gguf.metadata import Metadata, read_metadata

__all__ = ["Header", "TensorInfo", "read_header"]

_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_DEFAULT_ALIGNMENT = 32
_MAX_TENSORS = 65_536
_MAX_NAME_BYTES = 1024
_MAX_DIMENSIONS = 4  # GGML_MAX_DIMS
_LARGEST_SIZE = 2**63 - 1
_SMALLEST_INFO = 8 + 4 + 4 + 8  # bytes of a tensor's entry without name and dimensions


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """Where a tensor is. shape: row-major, so ggml's dimensions reversed. offset: of its first byte, in the file."""

    name: str
    shape: tuple[int, ...]
    type: GGMLType
    offset: int
    nbytes: int


@dataclass(frozen=True, slots=True)
class Header:
    """What the front of a GGUF file says. tensors: in the order of the file's own list."""

    path: Path
    version: int
    metadata: Metadata
    tensors: tuple[TensorInfo, ...]


def read_header(path: Path) -> Header:
    """Read the header of a file and check all that it claims against the file.

    Raises MalformedCheckpoint where the file breaks the specification, and UnsupportedFeature for version 1, big-endian
    files and types that can't be read.
    """
    with open_regular(path) as (descriptor, size):
        cursor = HeaderCursor(descriptor, size, path)
        if cursor.take(4) != _MAGIC:
            raise cursor.malformed(f"found {cursor.buffer[:4]!r}; {_MAGIC!r} was expected. This is not a GGUF file.")
        version = _read_version(cursor)
        cursor.reading = "the numbers of tensors and key-values"
        tensor_count, key_count = cursor.u64(), cursor.u64()
        metadata = read_metadata(cursor, key_count)
        tensors = _read_tensors(cursor, tensor_count, _alignment(cursor, metadata))
        return Header(path, version, metadata, tensors)


def _read_version(cursor: HeaderCursor) -> int:
    cursor.reading = "the version"
    version = cursor.u32()
    if version in _VERSIONS:
        return version
    place = shown_path(cursor.path)
    if version == 1:
        raise UnsupportedFeature(
            f"{place}: this is GGUF version 1, which llama.cpp gave up in 2023; versions 2 and 3 are read.",
            hint="Convert the original weights again with a current llama.cpp.",
        )
    if version and version & 0xFFFF == 0:
        raise UnsupportedFeature(
            f"{place}: this is a big-endian GGUF; only little-endian files are read.",
            hint="Turn it with llama.cpp's gguf_convert_endian.py.",
        )
    if version > max(_VERSIONS):
        raise UnsupportedFeature(
            f"{place}: this is GGUF version {version}; versions 2 and 3 are read.",
            hint="A newer zoo-gguf may read it.",
        )
    raise cursor.malformed(f"found {version}; 2 or 3 was expected.")


def _alignment(cursor: HeaderCursor, metadata: Metadata) -> int:
    alignment = metadata.get("general.alignment", _DEFAULT_ALIGNMENT)
    if type(alignment) is not int or alignment <= 0 or alignment & (alignment - 1):
        cursor.reading = "key 'general.alignment'"
        raise cursor.malformed(f"found {alignment!r}; a power of two was expected.")
    return alignment


@dataclass(frozen=True, slots=True)
class _Entry:
    """A tensor's entry as it stands in the file. start: counted from the beginning of the tensor data."""

    name: str
    dimensions: tuple[int, ...]
    type: GGMLType
    start: int


def _read_tensors(cursor: HeaderCursor, count: int, alignment: int) -> tuple[TensorInfo, ...]:
    cursor.reading = "the list of tensors"
    if count > _MAX_TENSORS:
        raise cursor.malformed(f"it has {count} tensors; at most {_MAX_TENSORS} were expected.")
    cursor.require(cursor.position + count * _SMALLEST_INFO)
    entries: dict[str, _Entry] = {}
    for index in range(count):
        cursor.reading = f"the name of tensor {index + 1} of {count}"
        name = cursor.string(_MAX_NAME_BYTES)
        cursor.reading = f"tensor {quoted(name)}"
        if name in entries:
            raise cursor.malformed("there are two tensors of this name.")
        entries[name] = _read_entry(cursor, name, alignment)
    data_start = -(-cursor.position // alignment) * alignment
    tensors = tuple(_locate(cursor, entry, data_start) for entry in entries.values())
    _refuse_overlaps(cursor, tensors)
    return tensors


def _read_entry(cursor: HeaderCursor, name: str, alignment: int) -> _Entry:
    rank = cursor.u32()
    if rank > _MAX_DIMENSIONS:
        raise cursor.malformed(f"it has {rank} dimensions; at most {_MAX_DIMENSIONS} were expected.")
    dimensions = tuple(cursor.u64() for _ in range(rank))
    if math.prod(size for size in dimensions if size) > _LARGEST_SIZE:
        raise cursor.malformed(f"its shape {list(dimensions[::-1])} overflows a signed 64-bit size.")
    number, start = cursor.u32(), cursor.u64()
    kind = GGML_TYPES.get(number)
    if kind is None:
        described = UNREADABLE_TYPES.get(number, "which is not known")
        raise UnsupportedFeature(
            f"{shown_path(cursor.path)}: {cursor.reading} is of ggml type {number} ({described}).",
            hint="Get the model in another quantisation, e.g. Q8_0 or Q4_K_M, or requantise it with llama-quantize.",
        )
    row = dimensions[0] if dimensions else 1
    if row % kind.block_elements:
        raise cursor.malformed(f"its rows have {row} elements; {kind.name} takes multiples of {kind.block_elements}.")
    if start % alignment:
        raise cursor.malformed(f"its data begins at {start}, which is not a multiple of the alignment {alignment}.")
    return _Entry(name, dimensions, kind, start)


def _locate(cursor: HeaderCursor, entry: _Entry, data_start: int) -> TensorInfo:
    nbytes = math.prod(entry.dimensions) // entry.type.block_elements * entry.type.block_bytes
    offset = data_start + entry.start
    shape = entry.dimensions[::-1]
    if offset + nbytes > cursor.size:
        raise MalformedCheckpoint(
            f"{shown_path(cursor.path)}: tensor {quoted(entry.name)} ({entry.type.name}, shape {list(shape)}) spans "
            f"bytes {offset}..{offset + nbytes}, but the file ends at {cursor.size}.",
            hint="The file is truncated or still being written; get it again.",
        )
    return TensorInfo(entry.name, shape, entry.type, offset, nbytes)


def _refuse_overlaps(cursor: HeaderCursor, tensors: tuple[TensorInfo, ...]) -> None:
    filled = sorted((tensor for tensor in tensors if tensor.nbytes), key=lambda tensor: tensor.offset)
    for before, after in pairwise(filled):
        if after.offset < before.offset + before.nbytes:
            cursor.reading = f"tensor {quoted(after.name)}"
            raise cursor.malformed(
                f"its data begins at byte {after.offset}, inside that of {quoted(before.name)} "
                f"({before.offset}..{before.offset + before.nbytes})."
            )
