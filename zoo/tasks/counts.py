"""Counts that a caller gives: how many at a time, how many of the best."""

from __future__ import annotations

from zoo.errors import InvalidInput
from zoo.interfaces.shown import shown

__all__ = ["require_count"]


def require_count(name: str, value: object) -> None:
    """Raise InvalidInput naming the parameter when the value is not an int above 0."""
    if type(value) is not int or value < 1:
        raise InvalidInput(f"{name}: expected a whole number above 0, found {shown(value)}.")
