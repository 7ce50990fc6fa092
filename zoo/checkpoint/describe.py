"""How messages show what a checkpoint file holds: bounded in length, and harmless on a terminal."""

from __future__ import annotations

import reprlib
from collections.abc import Iterable, Sequence
from pathlib import Path

__all__ = ["found", "listed", "quoted", "shown_integer", "shown_path", "shown_shape"]

_LONGEST_NAME = 200
_MOST_BITS = 512
_MOST_SIZES = 64


class _Short(reprlib.Repr):
    """Python's own short forms, but for integers so long that Python refuses to spell them."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel = 2
        self.maxstring = 60

    def repr_int(self, x: int, level: int) -> str:
        return shown_integer(x)


_SHORT = _Short()


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


def shown_integer(value: int) -> str:
    """An integer, or how long it is: Python raises ValueError when it has to spell thousands of digits."""
    bits = value.bit_length()
    return str(value) if bits <= _MOST_BITS else f"<{bits} bits>"


def shown_shape(shape: Sequence[int]) -> str:
    """A shape or strides, cut when there are very many."""
    sizes = ", ".join(map(shown_integer, shape[:_MOST_SIZES]))
    return f"[{sizes}]" if len(shape) <= _MOST_SIZES else f"[{sizes}, ...]"


def listed(items: Iterable[str], limit: int = 20) -> str:
    """Items joined by commas; beyond the limit, how many more there are."""
    everything = list(items)
    rest = len(everything) - limit
    return ", ".join(everything[:limit]) + (f" and {rest} more" if rest > 0 else "")


def shown_path(path: Path) -> str:
    """A path as it is, or escaped when it holds what a terminal would act on."""
    text = str(path)
    return text if text.isprintable() else repr(text)
