"""How checks fail: with what is wrong, and with what to change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

__all__ = ["MOST_SHOWN", "fail", "some"]

MOST_SHOWN = 5


def fail(problem: str, change: str) -> NoReturn:
    """Raise the AssertionError of a check. Both are sentences."""
    raise AssertionError(f"{problem}\n{change}")


def some(names: Sequence[object]) -> str:
    """The first of the names, and how many more there are."""
    shown = ", ".join(str(name) for name in names[:MOST_SHOWN])
    return f"{shown} and {len(names) - MOST_SHOWN} more" if len(names) > MOST_SHOWN else shown
