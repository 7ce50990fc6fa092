"""The key-values of a GGUF file as plain Python values."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from zoo.checkpoint.describe import quoted, shown_path
from zoo.errors import MalformedCheckpoint
from zoo_gguf.cursor import HeaderCursor

__all__ = ["Metadata", "read_metadata"]

_SCALARS: Mapping[int, str] = MappingProxyType(
    {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "B", 10: "Q", 11: "q", 12: "d"}
)
"""Value type -> its code in `struct`. 7 is a boolean: one byte, 0 or 1."""

_BOOL, _STRING, _ARRAY = 7, 8, 9

_MAX_KEYS = 65_536
_MAX_KEY_BYTES = 65_535  # the specification's own bound
_MAX_NESTING = 4
_MAX_ARRAY_WORK = 1 << 23
_WORK = {_STRING: 4, _ARRAY: 256}
"""What one item of an array costs, about in proportion to the time it takes; 1 for numbers. All the arrays of a file
may cost `_MAX_ARRAY_WORK` together: two million strings, or eight million numbers. It stops a hostile header early."""

_LENGTH = struct.Struct("<Q")


@dataclass(frozen=True, slots=True)
class _Array:
    """An array that was walked over and is not decoded yet: the vocabulary alone is 50,000 strings and more."""

    item_type: int
    count: int
    content: bytes


class Metadata(Mapping[str, Any]):
    """Key -> value: int, float, bool, str, and tuples of these for arrays.

    Arrays are decoded when they are first asked for; MalformedCheckpoint then, when strings are not UTF-8 or booleans
    are neither 0 nor 1.
    """

    def __init__(self, path: Path, values: Mapping[str, Any]) -> None:
        self._path = path
        self._values = dict(values)

    def __getitem__(self, key: str) -> Any:
        value = self._values[key]
        if isinstance(value, _Array):
            try:
                value, _ = _decode(value.item_type, value.count, value.content, 0)
            except ValueError as error:
                raise MalformedCheckpoint(f"{shown_path(self._path)}: key {quoted(key)}: {error}.") from error
            self._values[key] = value
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __contains__(self, key: object) -> bool:
        return key in self._values  # Mapping's own would decode the value

    def __repr__(self) -> str:
        return f"<Metadata of {shown_path(self._path)}: {len(self)} keys>"


def read_metadata(cursor: HeaderCursor, count: int) -> Metadata:
    """The `count` key-values at the cursor."""
    if count > _MAX_KEYS:
        cursor.reading = "the number of key-values"
        raise cursor.malformed(f"found {count}; at most {_MAX_KEYS} were expected.")
    values: dict[str, Any] = {}
    arrays = _ArrayWalker(cursor)
    for index in range(count):
        cursor.reading = f"the key of key-value {index + 1} of {count}"
        key = cursor.string(_MAX_KEY_BYTES)
        cursor.reading = f"key {quoted(key)}"
        if not key:
            raise cursor.malformed("it is empty.")
        if key in values:
            raise cursor.malformed("it is there twice.")
        value_type = cursor.u32()
        if value_type == _STRING:
            values[key] = cursor.string()
        elif value_type == _ARRAY:
            values[key] = arrays.read()
        else:
            values[key] = _read_scalar(cursor, value_type)
    return Metadata(cursor.path, values)


def _read_scalar(cursor: HeaderCursor, value_type: int) -> int | float | bool:
    code = _SCALARS.get(value_type)
    if code is None:
        raise cursor.malformed(f"found value type {value_type}; the specification has 0 to 12.")
    value: int | float = struct.unpack("<" + code, cursor.take(struct.calcsize("<" + code)))[0]
    if value_type != _BOOL:
        return value
    if value not in (0, 1):
        raise cursor.malformed(f"found a boolean of value {value}; 0 or 1 was expected.")
    return bool(value)


class _ArrayWalker:
    """Finds the ends of the arrays of a file, without decoding them, and counts what they cost."""

    def __init__(self, cursor: HeaderCursor) -> None:
        self._cursor = cursor
        self._work_left = _MAX_ARRAY_WORK

    def read(self) -> _Array:
        """The array at the cursor."""
        cursor = self._cursor
        item_type, count = cursor.u32(), cursor.u64()
        start = cursor.position
        self._skip_items(item_type, count, nesting=1)
        return _Array(item_type, count, cursor.buffer[start : cursor.position])

    def _skip_items(self, item_type: int, count: int, nesting: int) -> None:
        cursor = self._cursor
        self._work_left -= count * _WORK.get(item_type, 1)
        if self._work_left < 0:
            raise cursor.malformed(f"an array of {count} items is more than the arrays of a header may hold.")
        code = _SCALARS.get(item_type)
        if code is not None:
            end = cursor.position + count * struct.calcsize("<" + code)
            cursor.require(end)
            cursor.position = end
        elif item_type == _STRING:
            _skip_strings(cursor, count)
        elif item_type == _ARRAY:
            if nesting == _MAX_NESTING:
                raise cursor.malformed(f"its arrays are nested deeper than {_MAX_NESTING}.")
            for _ in range(count):
                self._skip_items(cursor.u32(), cursor.u64(), nesting + 1)
        else:
            raise cursor.malformed(f"found an array of value type {item_type}; the specification has 0 to 12.")


def _skip_strings(cursor: HeaderCursor, count: int) -> None:
    """Move the cursor past `count` strings. This is most of the time that opening a file takes."""
    cursor.require(cursor.position + 8 * count)
    unpack_length = _LENGTH.unpack_from
    position, held, buffer = cursor.position, len(cursor.buffer), cursor.buffer
    for _ in range(count):
        if position + 8 > held:
            cursor.position = position
            held = cursor.require(position + 8)
            buffer = cursor.buffer
        position += 8 + unpack_length(buffer, position)[0]
    cursor.require(position)
    cursor.position = position


def _decode(item_type: int, count: int, content: bytes, position: int) -> tuple[tuple[Any, ...], int]:
    """The items of an array whose bounds were checked, and the position after them. ValueError for items not valid."""
    if item_type == _STRING:
        return _decode_strings(count, content, position)
    if item_type == _ARRAY:
        items = []
        for _ in range(count):
            inner_type, inner_count = struct.unpack_from("<IQ", content, position)
            item, position = _decode(inner_type, inner_count, content, position + 12)
            items.append(item)
        return tuple(items), position
    form = f"<{count}{_SCALARS[item_type]}"
    values = struct.unpack_from(form, content, position)
    if item_type == _BOOL:
        if not set(values) <= {0, 1}:
            raise ValueError("it holds a boolean that is neither 0 nor 1")
        values = tuple(map(bool, values))
    return values, position + struct.calcsize(form)


def _decode_strings(count: int, content: bytes, position: int) -> tuple[tuple[str, ...], int]:
    unpack_length = _LENGTH.unpack_from
    strings = []
    for index in range(count):
        start = position + 8
        position = start + unpack_length(content, position)[0]
        try:
            strings.append(content[start:position].decode())
        except UnicodeDecodeError as error:
            raise ValueError(f"string {index} is not UTF-8: {error.reason} at its byte {error.start}") from error
    return tuple(strings), position
