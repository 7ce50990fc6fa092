"""How messages show what a checkpoint file holds: bounded in length, and harmless on a terminal."""

from __future__ import annotations

import reprlib
from collections.abc import Iterable
from pathlib import Path

__all__ = ["found", "listed", "quoted", "shown_path"]

_SHORT = reprlib.Repr()
_SHORT.maxlevel = 2
_SHORT.maxstring = 60
_LONGEST_NAME = 200


def quoted(name: str) -> str:
    """A name out of a file, in quotes, with control characters and lone surrogates escaped, cut when very long."""
    if len(name) <= _LONGEST_NAME:
        return repr(name)
    return f"{name[:_LONGEST_NAME]!r}... ({len(name)} characters)"


def found(value: object) -> str:
    """A value for "expected ..., found ...": its type, in JSON's words, and the beginning of it."""
    kinds = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}
    for kind, word in kinds.items():
        if isinstance(value, kind):
            return f"the {word} {_SHORT.repr(value)}"
    return "null" if value is None else f"a Python {type(value).__name__}"


def listed(items: Iterable[str], limit: int = 20) -> str:
    """Items joined by commas; beyond the limit, how many more there are."""
    everything = list(items)
    rest = len(everything) - limit
    return ", ".join(everything[:limit]) + (f" and {rest} more" if rest > 0 else "")


def shown_path(path: Path) -> str:
    """A path as it is, or escaped when it holds what a terminal would act on."""
    text = str(path)
    return text if text.isprintable() else repr(text)
