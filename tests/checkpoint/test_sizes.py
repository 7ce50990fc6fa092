from __future__ import annotations

from typing import Any

import pytest

from zoo.checkpoint import format_size, parse_size
from zoo.errors import SaveError


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("10GB", 10_000_000_000),
        ("500MB", 500_000_000),
        ("1GiB", 2**30),
        ("1.5 GiB", 3 * 2**29),
        ("0.1GB", 100_000_000),
        ("2tb", 2_000_000_000_000),
        ("64 KiB", 65536),
        ("5G", 5_000_000_000),
        (" 12 ", 12),
        ("12B", 12),
        (12, 12),
    ],
)
def test_sizes_as_people_write_them(text: int | str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text",
    [
        "",
        "GB",
        "ten GB",
        "-1GB",
        "1e3GB",
        "0",
        0,
        -5,
        "0.5",
        "0.0001kB",
        "1PB",
        "1iB",
        "1 G B",
        "1,5GB",
        "\u0661GB",
        "nan",
        True,
        None,
        1.5,
        "9" * 100,
    ],
)
def test_what_is_no_size(text: Any) -> None:
    with pytest.raises(SaveError, match=r"is not a size.*above 0") as raised:
        parse_size(text)
    assert repr(text) in str(raised.value)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1.0 kB"),
        (1_550_000_000, "1.6 GB"),
        (12_345_678, "12.3 MB"),
        (10**12, "1.0 TB"),
        (10**16, "10000.0 TB"),
    ],
)
def test_sizes_for_people(size: int, text: str) -> None:
    assert format_size(size) == text
