"""JSON as the formats want it: UTF-8, one object, and no key twice, which Python's own reader would silently drop."""

from __future__ import annotations

import json
from typing import Any

from zoo.checkpoint.describe import found, quoted
from zoo.errors import MalformedCheckpoint

__all__ = ["RepeatedKey", "parse_object"]


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
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise MalformedCheckpoint(f"{place} is not UTF-8: {error.reason} at byte {offset + error.start}.") from error
    try:
        value = json.loads(text, object_pairs_hook=_distinct, parse_int=_integer if "-0" in text else None)
    except json.JSONDecodeError as error:
        position = offset + len(text[: error.pos].encode())
        raise MalformedCheckpoint(f"{place} is not valid JSON: {error.msg} at byte {position}.") from error
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
