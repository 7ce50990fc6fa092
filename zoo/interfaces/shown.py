"""How messages show a value that was given: its type and its beginning, however large it is. Torch-free."""

from __future__ import annotations

import reprlib

__all__ = ["shown"]


class _Short(reprlib.Repr):
    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = 100

    def repr_int(self, value: int, level: int) -> str:
        """Python refuses to write out integers of thousands of digits."""
        return repr(value) if value.bit_length() <= 64 else f"<of {value.bit_length()} bits>"


_SHORT = _Short()


def shown(value: object) -> str:
    """A value for "expected ..., found ...": `str 'abc'`."""
    return f"{type(value).__name__} {_SHORT.repr(value)}"
