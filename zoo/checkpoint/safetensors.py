"""The strict reader of safetensors files: a header of JSON, then the bytes of the tensors, back to back.

It keeps to the specification (https://github.com/huggingface/safetensors#format) where the reference library is
lenient: nothing before the opening brace, only spaces after the closing one, no name twice, no byte of the file in two
tensors or in none, no shape that overflows.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from math import prod
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from zoo.checkpoint.aliases import aliases_of
from zoo.checkpoint.collector import collector_paused
from zoo.checkpoint.describe import found, quoted, shown_path
from zoo.checkpoint.directory import ModelDirectory
from zoo.checkpoint.dtypes import DType
from zoo.checkpoint.records import Checkpoint, StoredBytes, TensorRecord
from zoo.checkpoint.regular_file import open_regular, read_up_to
from zoo.checkpoint.rules import MAX_HEADER_BYTES, METADATA_KEY, is_unicode, name_problem, shape_problem
from zoo.checkpoint.strict_json import RepeatedKey, parse_object
from zoo.errors import MalformedCheckpoint

__all__ = ["FORMAT_NAME", "Header", "open_file", "read_header"]

FORMAT_NAME = "safetensors"

_LENGTH = struct.Struct("<Q")
_DTYPES = {dtype.name: dtype for dtype in DType}
_FIELDS = {"dtype", "shape", "data_offsets"}
_SHORTEST_HEADER = len("{}")
_GET_AGAIN = "The file is truncated; get it again from where it came from."
_IMPOSTORS = {
    b"version ": "It looks like a Git LFS pointer, which stands for the file: fetch the file with `git lfs pull`.",
    b"PK\x03\x04": "It looks like a zip archive, as torch.save writes: it only carries the name of a safetensors file.",
    b"\x80": "It looks like a Python pickle, as torch.save writes: it only carries the name of a safetensors file.",
    b"<": "It looks like a web page: the download may have been answered with an error page or a login.",
}


class Header(NamedTuple):
    """What the header of one file says. records: in the order of their bytes. metadata: its `__metadata__`."""

    records: dict[str, TensorRecord]
    metadata: dict[str, str]


def open_file(path: Path) -> Checkpoint:
    """Open one safetensors file by its header alone.

    Raises MalformedCheckpoint, or CheckpointError when it can't be read.
    """
    header = read_header(path)
    return Checkpoint(
        format=FORMAT_NAME,
        location=path,
        files=(path,),
        records=header.records,
        metadata=header.metadata,
        side_files=ModelDirectory(path.parent),
        aliases=aliases_of(header.metadata, header.records),
    )


def read_header(path: Path) -> Header:
    """Read and check the header of one safetensors file.

    Raises MalformedCheckpoint, naming the tensor and the bytes, for whatever the specification forbids.
    """
    with open_regular(path) as (descriptor, size):
        start = read_up_to(descriptor, _LENGTH.size, 0, path)
        length = _header_length(path, start, size)
        content = read_up_to(descriptor, length, _LENGTH.size, path)
    if len(content) < length:
        raise MalformedCheckpoint(f"{shown_path(path)} became shorter while its header was read.", hint=_GET_AGAIN)
    return _parse(path, content, size)


def _header_length(path: Path, start: bytes, size: int) -> int:
    place = shown_path(path)
    if len(start) < _LENGTH.size:
        raise MalformedCheckpoint(
            f"{place} is {size} bytes long; a safetensors file begins with the 8 bytes that give its header's length.",
            hint=_GET_AGAIN,
        )
    length: int = _LENGTH.unpack(start)[0]
    if length > MAX_HEADER_BYTES:
        hint = next((text for magic, text in _IMPOSTORS.items() if start.startswith(magic)), None)
        raise MalformedCheckpoint(
            f"{place}: its first 8 bytes announce a header of {length} bytes; at most {MAX_HEADER_BYTES} are allowed.",
            hint=hint or "This is not a safetensors file, or its beginning is damaged.",
        )
    if length < _SHORTEST_HEADER:
        raise MalformedCheckpoint(
            f"{place}: its first 8 bytes announce a header of {length} bytes; '{{}}' is the shortest."
        )
    if _LENGTH.size + length > size:
        raise MalformedCheckpoint(
            f"{place}: the header spans bytes {_LENGTH.size}..{_LENGTH.size + length}, but the file ends at {size}.",
            # Of the impostors only zip archives begin like a length that is allowed.
            hint=_IMPOSTORS.get(start[:4], _GET_AGAIN),
        )
    return length


def _parse(path: Path, content: bytes, size: int) -> Header:
    place = f"{shown_path(path)}: the header"
    if not content.startswith(b"{"):
        raise MalformedCheckpoint(f"{place} begins with {content[:4]!r} at byte {_LENGTH.size}; expected '{{'.")
    end = len(content.rstrip(b" "))
    if content[end - 1 : end] != b"}":
        raise MalformedCheckpoint(
            f"{place} ends with {content[end - 1 : end]!r} at byte {_LENGTH.size + end - 1}; "
            "expected '}' and after it nothing but spaces."
        )
    with collector_paused():
        values = parse_object(content, place=place, offset=_LENGTH.size)
        metadata = _check_metadata(path, values.pop(METADATA_KEY, {}))
        data_start = _LENGTH.size + len(content)
        records = [_check_entry(path, data_start, name, value) for name, value in values.items()]
        records.sort(key=_span)
        _check_coverage(path, records, data_start, size)
        return Header({record.name: record for record in records}, metadata)


def _check_metadata(path: Path, value: Any) -> dict[str, str]:
    place = f"{shown_path(path)}: {METADATA_KEY}"
    if isinstance(value, RepeatedKey):
        raise MalformedCheckpoint(f"{place} holds the key {quoted(value.key)} twice.")
    if not isinstance(value, dict):
        raise MalformedCheckpoint(f"{place}: expected an object of strings, found {found(value)}.")
    for key, text in value.items():
        if not isinstance(text, str):
            raise MalformedCheckpoint(f"{place}: expected a string under {quoted(key)}, found {found(text)}.")
        if not is_unicode(key) or not is_unicode(text):
            raise MalformedCheckpoint(f"{place}: half of a surrogate pair, which is no text, stands at {quoted(key)}.")
    return value


def _check_entry(path: Path, data_start: int, name: str, value: Any) -> TensorRecord:
    """One tensor's description: each field of it alone, then its bytes against its type and shape."""
    if type(value) is not dict or value.keys() != _FIELDS:
        _refuse_fields(path, name, value)
    dtype_name = value["dtype"]
    if type(dtype_name) is not str or dtype_name not in _DTYPES:
        _refuse(path, name, f"field 'dtype': found {found(dtype_name)}, expected one of {', '.join(_DTYPES)}")
    dtype = _DTYPES[dtype_name]
    shape = _integers(path, name, "shape", value["shape"])
    offsets = _integers(path, name, "data_offsets", value["data_offsets"])
    if len(offsets) != 2:
        _refuse(path, name, f"field 'data_offsets': expected a begin and an end, found {found(value['data_offsets'])}")
    problem = name_problem(name) or shape_problem(dtype.bits, shape)
    if problem is not None:
        _refuse(path, name, problem)
    begin, end = offsets
    expected = dtype.bits * prod(shape) // 8
    if end - begin != expected:
        _refuse(
            path,
            name,
            f"bytes {begin}..{end} of the data are {end - begin} bytes, "
            f"but {dtype_name} of shape {list(shape)} takes {expected}",
        )
    return TensorRecord(name, dtype, shape, StoredBytes(path, data_start + begin, expected))


def _integers(path: Path, name: str, field: str, value: Any) -> tuple[int, ...]:
    if type(value) is not list:
        _refuse(path, name, f"field '{field}': expected an array of integers, found {found(value)}")
    for item in value:
        # A JSON true is an int to isinstance.
        if type(item) is not int or item < 0:
            _refuse(path, name, f"field '{field}': expected integers of at least 0, found {found(item)}")
    return tuple(value)


def _span(record: TensorRecord) -> tuple[int, int]:
    """Where its bytes begin and end in the file; also what to sort by: an empty tensor comes before its neighbour."""
    begin = record.data.offset
    return begin, begin + record.data.nbytes


def _check_coverage(path: Path, records: Iterable[TensorRecord], data_start: int, size: int) -> None:
    """Each byte after the header belongs to exactly one tensor. records: sorted by their spans."""
    position = data_start
    before: TensorRecord | None = None
    for record in records:
        begin, end = _span(record)
        if begin != position:
            _refuse_gap(path, before, record, position)
        if end > size:
            raise MalformedCheckpoint(
                f"{shown_path(path)}: tensor {quoted(record.name)} spans bytes {begin}..{end}, "
                f"but the file ends at {size}.",
                hint=_GET_AGAIN,
            )
        position, before = end, record
    if position != size:
        raise MalformedCheckpoint(
            f"{shown_path(path)}: the tensors end at byte {position}, but the file ends at {size}; "
            f"the last {size - position} bytes belong to no tensor.",
            hint="Something was appended to the file, or its header belongs to another one. Get it again.",
        )


def _refuse_gap(path: Path, before: TensorRecord | None, record: TensorRecord, position: int) -> NoReturn:
    begin, end = _span(record)
    if begin > position:
        _refuse(
            path,
            record.name,
            f"it spans bytes {begin}..{end}, but what comes before it ends at {position}; "
            f"the {begin - position} bytes between belong to no tensor",
        )
    assert before is not None  # nothing begins before the data
    other_begin, other_end = _span(before)
    relation = "the same as" if (begin, end) == (other_begin, other_end) else "which overlap"
    _refuse(
        path,
        record.name,
        f"it spans bytes {begin}..{end}, {relation} bytes {other_begin}..{other_end} of {quoted(before.name)}; "
        "tensors must not share bytes",
    )


def _refuse_fields(path: Path, name: str, value: Any) -> NoReturn:
    if not isinstance(value, Mapping):
        _refuse(path, name, f"expected an object with {', '.join(sorted(_FIELDS))}, found {found(value)}")
    if isinstance(value, RepeatedKey):
        _refuse(path, name, f"field {quoted(value.key)} stands twice")
    missing = sorted(_FIELDS - value.keys())
    if missing:
        _refuse(path, name, f"field '{missing[0]}' is missing")
    unknown = sorted(value.keys() - _FIELDS)
    _refuse(path, name, f"field {quoted(unknown[0])} is unknown; expected {', '.join(sorted(_FIELDS))}")


def _refuse(path: Path, name: str, problem: str) -> NoReturn:
    raise MalformedCheckpoint(f"{shown_path(path)}: tensor {quoted(name)}: {problem}.")
