"""What messages show of a file is short and can always be shown."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from zoo.checkpoint import open_checkpoint
from zoo.checkpoint.describe import found, shown_integer, shown_shape
from zoo.errors import MalformedCheckpoint


def test_integers_that_python_refuses_to_spell() -> None:
    huge = 10**5000
    assert shown_integer(-17) == "-17"
    assert shown_integer(huge) == "<16610 bits>"
    assert found(huge) == "the integer <16610 bits>"
    assert found([1, huge]) == "the array [1, <16610 bits>]"
    assert found({"a": huge}) == "the object {'a': <16610 bits>}"
    assert found(True) == "the boolean True"
    assert shown_shape((2, huge)) == "[2, <16610 bits>]"
    assert shown_shape([1] * 65) == f"[{'1, ' * 64}...]"


def test_a_shape_whose_product_is_longer_than_its_sizes(tmp_path: Path) -> None:
    """Each size is short enough for JSON; together they have more digits than Python spells."""
    size = "1" + "0" * 4000 + "1"
    header = f'{{"w":{{"dtype":"F4","shape":[{size},{size}],"data_offsets":[0,0]}}}}'.encode()
    path = tmp_path / "x.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header)
    with pytest.raises(MalformedCheckpoint, match=r"'w'.*whole bytes"):
        open_checkpoint(path)
