"""Which tensors are taken for one tensor under two names."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from zoo.checkpoint import Checkpoint, DType, EncodedBytes, TensorRecord
from zoo.errors import SaveError
from zoo_tools.tensor_choice import choose_tensors


def decoding(content: bytes) -> Callable[[], Iterator[bytes]]:
    return lambda: iter((content,))


@pytest.fixture
def described_alike(tmp_path: Path) -> Checkpoint:
    """Three tensors of one description. That of a decoder says nothing of what it gives."""
    contents = {"a": b"\1\2", "b": b"\1\2", "c": b"\1\3"}
    records = {
        name: TensorRecord(name, DType.U8, (2,), EncodedBytes(tmp_path / "x", 0, 2, "packed", decoding(content)))
        for name, content in contents.items()
    }
    return Checkpoint(format="torch", location=tmp_path / "x", files=[], records=records)


def test_a_description_alike_is_no_proof(described_alike: Checkpoint) -> None:
    choice = choose_tensors(described_alike)
    assert choice.aliases == {"b": "a"}
    assert list(choice.tensors) == ["a", "c"]


def test_a_name_without_a_character(described_alike: Checkpoint) -> None:
    with pytest.raises(SaveError, match=r"--rename 'b=': 'b' would get a name without a character"):
        choose_tensors(described_alike, rename=["b="])
    with pytest.raises(SaveError, match="'a' would get a name without"):
        choose_tensors(described_alike, rename=[r"a(.*)=\1"])
