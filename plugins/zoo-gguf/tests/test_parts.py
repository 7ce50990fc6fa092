from __future__ import annotations

from pathlib import Path

import numpy
import pytest

from zoo.errors import MalformedCheckpoint, UnsupportedFeature
from zoo_gguf.reader import open_file


@pytest.fixture
def parts(write_gguf, tmp_path: Path) -> list[Path]:
    """Five tensors in three files, as llama-gguf-split leaves them."""
    tensors = {f"t{index}": numpy.full((2, 3), index, dtype=numpy.float32) for index in range(5)}
    write_gguf({"a.key": "value"}, tensors, name="big.gguf", split_max_tensors=2)
    return sorted(tmp_path.glob("big-*-of-00003.gguf"))


@pytest.mark.parametrize("given", [0, 1, 2])
def test_any_part_opens_them_all(parts: list[Path], given: int) -> None:
    checkpoint = open_file(parts[given])
    assert list(checkpoint) == ["t0", "t1", "t2", "t3", "t4"]
    assert checkpoint.files == tuple(parts)
    assert checkpoint.metadata["a.key"] == "value"
    for index, record in enumerate(checkpoint.values()):
        content = record.data.path.read_bytes()[record.data.offset :][: record.data.nbytes]
        assert numpy.frombuffer(content, "<f4").tolist() == [index] * 6


def test_missing_parts_are_named(parts: list[Path]) -> None:
    parts[0].unlink()
    parts[1].unlink()
    with pytest.raises(MalformedCheckpoint, match=r"2 are missing: 'big-00001-of-00003.gguf', 'big-00002-of-00003"):
        open_file(parts[2])


def test_a_renamed_part_says_how_to_merge(parts: list[Path]) -> None:
    renamed = parts[0].rename(parts[0].with_name("model.gguf"))
    with pytest.raises(UnsupportedFeature, match=r"one of 3 parts.*\n.*llama-gguf-split --merge"):
        open_file(renamed)


def test_parts_in_each_others_place_are_refused(parts: list[Path]) -> None:
    content = parts[1].read_bytes()
    parts[1].write_bytes(parts[2].read_bytes())
    parts[2].write_bytes(content)
    with pytest.raises(MalformedCheckpoint, match="by its metadata this is part 2 "):
        open_file(parts[0])


def test_a_tensor_in_two_parts_is_refused(parts: list[Path]) -> None:
    content = parts[2].read_bytes()
    parts[2].write_bytes(content.replace(b"t4", b"t0", 1))
    with pytest.raises(MalformedCheckpoint, match=r"00003-of-00003\.gguf: tensor 't0' is also in .*00001-of"):
        open_file(parts[1])


def test_too_few_tensors_are_noticed(parts: list[Path], write_gguf) -> None:
    import gguf

    def fill(writer: gguf.GGUFWriter) -> None:
        writer.add_uint16("split.no", 2)
        writer.add_uint16("split.count", 3)
        writer.add_int32("split.tensors.count", 5)

    write_gguf(fill=fill, name=parts[2].name)
    with pytest.raises(MalformedCheckpoint, match=r"hold 4 tensors; 'split\.tensors\.count' says 5"):
        open_file(parts[0])


def test_a_count_that_is_no_number_is_malformed(write_gguf) -> None:
    with pytest.raises(MalformedCheckpoint, match=r"'split\.count': found 'three'"):
        open_file(write_gguf({"split.count": "three"}))
