"""JSON as the formats want it: UTF-8, one object, and no key twice, which Python's own reader would silently drop."""

from __future__ import annotations

import json
from typing import Any

from zoo.checkpoint.describe import found, quoted
from zoo.errors import MalformedCheckpoint

__all__ = ["RepeatedKey", "first_repeated", "parse_object"]

# An object or array takes two bytes to write and 25 times as much to hold. A header needs three for each tensor, which
# take it 40 bytes at the least, and other files fewer; what has many more of them is made to fill the memory.
_FREE_CONTAINERS = 200_000
_BYTES_PER_CONTAINER = 12


class RepeatedKey(dict[str, Any]):
    """An object in which a key stood twice. It is no plain dict, so that a check of types catches it wherever it is."""

    def __init__(self, values: dict[str, Any], key: str) -> None:
        super().__init__(values)
        self.key = key


def parse_object(content: bytes, *, place: str, offset: int = 0) -> dict[str, Any]:
    """The JSON object that `content` is. place: the file and part, for messages. offset: where in the file it begins.

    Raises MalformedCheckpoint for anything but an object of distinct keys at the top. Deeper objects with repeated
    keys come out as RepeatedKey; the caller, who knows what they are, refuses them.
    """
    containers = content.count(b"{") + content.count(b"[")
    if containers > _FREE_CONTAINERS + len(content) // _BYTES_PER_CONTAINER:
        raise MalformedCheckpoint(
            f"{place} holds {containers} objects and arrays in {len(content)} bytes, more than it can have a use for."
        )
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise MalformedCheckpoint(f"{place} is not UTF-8: {error.reason} at byte {offset + error.start}.") from error
    try:
        value = json.loads(text, object_pairs_hook=_distinct, parse_int=_integer if "-0" in text else None)
    except json.JSONDecodeError as error:
        position = f"byte {offset + len(text[: error.pos].encode())}"
        if "\n" in text:
            position += f", line {error.lineno}, column {error.colno}"
        raise MalformedCheckpoint(f"{place} is not valid JSON: {error.msg} at {position}.") from error
    except RecursionError as error:
        raise MalformedCheckpoint(f"{place} is nested too deeply.") from error
    except ValueError as error:
        # Python refuses to parse integers of thousands of digits, which take quadratic time.
        raise MalformedCheckpoint(f"{place} holds a number of absurd length: {error}.") from error
    if isinstance(value, RepeatedKey):
        raise MalformedCheckpoint(f"{place} holds the key {quoted(value.key)} twice.")
    if not isinstance(value, dict):
        raise MalformedCheckpoint(f"{place}: expected an object, found {found(value)}.")
    return value


def first_repeated(value: object) -> str | None:
    """A key that stands twice in one of the objects, however deep, of what `parse_object` returned; None usually."""
    remaining = [value]
    while remaining:
        each = remaining.pop()
        if isinstance(each, RepeatedKey):
            return each.key
        if isinstance(each, dict):
            remaining += each.values()
        elif isinstance(each, list):
            remaining += each
    return None


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) == len(pairs):
        return values
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            break
        seen.add(key)
    return RepeatedKey(values, key)


def _integer(digits: str) -> int | float:
    """-0 is a floating-point zero to other readers, so it must be no integer here either."""
    return -0.0 if digits == "-0" else int(digits)
