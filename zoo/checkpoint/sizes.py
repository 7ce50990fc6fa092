"""Sizes in bytes as people write them."""

from __future__ import annotations

import re
from decimal import Decimal

from zoo.errors import SaveError

__all__ = ["format_size", "parse_size"]

# Decimal, as the Hub's tools count; binary only when it says so.
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
_UNITS = ("kB", "MB", "GB", "TB")
_SIZE = re.compile(
    r"(?P<number>[0-9]{1,18}(\.[0-9]{1,18})?)\s*(?P<prefix>[kmgt]?)(?P<binary>i?)(?P<unit>b?)", re.IGNORECASE
)


def parse_size(size: int | str) -> int:
    """The bytes that "10GB" (10 x 1000^3), "1.5GiB" (1.5 x 1024^3), "500MB", "4096" or an integer mean; at least 1.

    Raises SaveError for anything else.
    """
    if isinstance(size, int) and not isinstance(size, bool):
        value = size
    else:
        match = _SIZE.fullmatch(size.strip()) if isinstance(size, str) else None
        if match is None or (match["binary"] and not match["prefix"]):
            raise _not_a_size(size)
        base = 1024 if match["binary"] else 1000
        value = int(Decimal(match["number"]) * base ** _POWERS[match["prefix"].lower()])
    if value < 1:
        raise _not_a_size(size)
    return value


def format_size(size: int) -> str:
    """Bytes for messages, e.g. "1.5 GB" (decimal)."""
    if size < 1000:
        return f"{size} bytes"
    power = min((len(str(size)) - 1) // 3, len(_UNITS))
    return f"{size / 1000**power:.1f} {_UNITS[power - 1]}"


def _not_a_size(size: object) -> SaveError:
    return SaveError(
        f"{size!r} is not a size; expected a number of bytes above 0, alone or with kB, MB, GB, TB (powers of 1000) "
        "or KiB, MiB, GiB, TiB (powers of 1024).",
        hint="For instance: '10GB'.",
    )
