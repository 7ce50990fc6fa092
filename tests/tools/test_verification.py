"""Whether two checkpoints hold the same tensors, whatever lies between them."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from zoo.checkpoint import Checkpoint, DType, EncodedBytes, StoredBytes, TensorRecord
from zoo.checkpoint.records import StridedBytes
from zoo.errors import CheckpointError, MalformedCheckpoint
from zoo_tools import verify
from zoo_tools.elements import BLOCK_BYTES, Comparison
from zoo_tools.pairing import Side
from zoo_tools.verification import _together


@pytest.fixture
def save(tmp_path):
    def write(name, tensors, **options):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        save_file(tensors, path, **options)
        return path

    return write


def model(**changes):
    generator = torch.Generator().manual_seed(0)
    tensors = {
        "a": torch.randn(300, 1000, generator=generator),
        "b": torch.tensor([math.nan, -0.0, math.inf]),
        "n": torch.tensor(3),
        "empty": torch.zeros(0, 4),
    }
    return {**tensors, **changes}


def kinds(report):
    return [(difference.kind, difference.name, difference.detail) for difference in report.differences]


def test_the_same_in_other_files(save, tmp_path):
    one = save("one/model.safetensors", model(), metadata={"format": "pt"})
    tensors = model()
    save("two/model-00001-of-00002.safetensors", {name: tensors[name] for name in ("n", "a")})
    save("two/model-00002-of-00002.safetensors", {name: tensors[name] for name in ("b", "empty")})
    report = verify(one, tmp_path / "two")
    assert report.ok and (report.tensors, report.nbytes) == (4, 1_200_000 + 12 + 8)


@pytest.mark.parametrize(
    ("name", "tensor", "found"),
    [
        ("a", torch.zeros(1000, 300), ("shape", "a", "[300, 1000] in A, [1000, 300] in B")),
        ("n", torch.tensor(3.0), ("dtype", "n", "I64 in A, F32 in B")),
        ("b", torch.tensor([math.nan, 0.0, math.inf]), ("values", "b", "first at element [1]")),
        ("n", torch.tensor(4), ("values", "n", "first at byte 0")),
        ("more", torch.zeros(1), ("only in b", "more", "")),
    ],
    ids=["shape", "dtype", "zero's sign", "scalar", "more"],
)
def test_what_differs_is_named(save, name, tensor, found):
    report = verify(save("a.safetensors", model()), save("b.safetensors", model(**{name: tensor})))
    assert not report.ok and kinds(report) == [found]
    assert json.loads(json.dumps(report.to_json()))["differences"][0]["kind"] == found[0]


def test_one_element_far_inside(save):
    tensors = model()
    tensors["a"][271, 828] += 1
    report = verify(save("a.safetensors", model()), save("b.safetensors", tensors))
    assert kinds(report) == [("values", "a", "first at element [271, 828]")]
    assert report.tensors == 3


def test_what_is_missing_is_named(save):
    tensors = model()
    del tensors["a"], tensors["empty"]
    report = verify(save("a.safetensors", model()), save("b.safetensors", tensors))
    assert sorted(kinds(report)) == [("only in a", "a", ""), ("only in a", "empty", "")]


def test_every_nan_is_its_own(save):
    """NaN equals itself, and no other NaN: bits are compared."""
    quiet, other = (torch.tensor([bits], dtype=torch.int32).view(torch.float32) for bits in (0x7FC00000, 0x7FC00001))
    assert verify(save("a.safetensors", {"x": quiet}), save("b.safetensors", {"x": quiet.clone()})).ok
    assert not verify(save("a.safetensors", {"x": quiet}), save("c.safetensors", {"x": other})).ok


def test_names_of_tied_tensors_count_as_tensors(save, tmp_path):
    record = TensorRecord("w", DType.U8, (3,), StoredBytes(tmp_path / "x", 0, 3))
    (tmp_path / "x").write_bytes(b"abc")
    tied = Side(Path("a"), "x", {"w": record, "head": record}, {})
    alone = Side(Path("b"), "x", {"w": record}, {})
    assert _together(tied, tied).tensors == 2
    assert kinds(_together(tied, alone)) == [("only in a", "head", "")]


def test_what_can_not_be_read_is_not_the_same(tmp_path):
    sides = Side(Path("a"), "x", {}, {"s": "it is sparse"}), Side(Path("b"), "x", {}, {})
    assert kinds(_together(*sides)) == [("unreadable", "s", "in A: it is sparse")]
    assert kinds(_together(*sides[::-1])) == [("unreadable", "s", "in B: it is sparse")]


@pytest.fixture
def written(tmp_path):
    """A file of these bytes, and the record of all of them as U8."""

    def write(name, content, offset=0):
        (tmp_path / name).write_bytes(bytes(offset) + content)
        return TensorRecord(name, DType.U8, (len(content),), StoredBytes(tmp_path / name, offset, len(content)))

    return write


@pytest.mark.parametrize("size", [0, 1, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, 3 * BLOCK_BYTES])
def test_blocks_end_where_they_end(written, size):
    content = bytes(range(256)) * (size // 256 + 1)
    a, b = written("a", content[:size]), written("b", content[:size], offset=13)
    told = []
    with Comparison(told.append) as comparison:
        assert comparison.first_difference(a, b) is None
    assert sum(told) == size


@pytest.mark.parametrize("place", [0, 1, BLOCK_BYTES - 1, BLOCK_BYTES, 2 * BLOCK_BYTES + 17])
def test_the_first_difference_is_found(written, place):
    content = bytearray(2 * BLOCK_BYTES + 18)
    a = written("a", bytes(content))
    content[place] = 1
    content[-1] = 1
    with Comparison() as comparison:
        assert comparison.first_difference(a, written("b", bytes(content))) == place


@pytest.mark.parametrize("piece", [7, 1000, BLOCK_BYTES - 1, BLOCK_BYTES + 1])
def test_what_is_decoded_is_compared_as_it_comes(written, piece):
    content = bytes(range(251)) * 5000
    stored = written("a", content)
    pieces = [content[start : start + piece] for start in range(0, len(content), piece)]
    encoded = EncodedBytes(Path("q"), 0, 1, "Q", lambda: iter(pieces))
    with Comparison() as comparison:
        assert comparison.first_difference(stored, TensorRecord("a", DType.U8, (len(content),), encoded)) is None
        changed = [*pieces[:-1], pieces[-1][:-1] + b"\xff"]
        encoded = EncodedBytes(Path("q"), 0, 1, "Q", lambda: iter(changed))
        other = TensorRecord("a", DType.U8, (len(content),), encoded)
        assert comparison.first_difference(stored, other) == len(content) - 1


def test_views_are_compared_by_their_elements(written, tmp_path):
    plain = written("a", bytes([0, 2, 4, 1, 3, 5]))
    (tmp_path / "b").write_bytes(bytes(range(6)))
    view = TensorRecord("b", DType.U8, (6,), StridedBytes(tmp_path / "b", 0, 6, 1, (2, 3), (1, 2)))
    with Comparison() as comparison:
        assert comparison.first_difference(plain, view) is None


def test_more_files_than_can_be_open_at_once(written):
    with Comparison() as comparison:
        for number in range(100):
            record = written(str(number), b"x")
            assert comparison.first_difference(record, record) is None


def test_a_file_that_was_cut_short_is_an_error(written, tmp_path):
    a, b = written("a", bytes(3 * BLOCK_BYTES)), written("b", bytes(3 * BLOCK_BYTES))
    with open(tmp_path / "b", "r+b") as file:
        file.truncate(2 * BLOCK_BYTES + 5)
    with Comparison() as comparison, pytest.raises(MalformedCheckpoint, match=r"'b' spans bytes.*cut short"):
        comparison.first_difference(a, b)


def test_progress_ends_with_all(save):
    told = []
    tensors = model(a=torch.zeros(300, 1000))
    verify(
        save("a.safetensors", model()),
        save("b.safetensors", tensors),
        progress=lambda done, total: told.append((done, total)),
    )
    assert told[-1] == (1_200_020, 1_200_020) and told == sorted(told)


def test_one_by_itself(save, tmp_path):
    path = save("a.safetensors", model())
    report = verify(path)
    assert report.ok and (report.tensors, report.b) == (4, None) and report.checks
    with open(path, "r+b") as file:
        file.truncate(path.stat().st_size - 1)
    with pytest.raises(MalformedCheckpoint):
        verify(path)


def test_shards_that_their_index_contradicts(save, tmp_path):
    save("d/model-00001-of-00002.safetensors", {"a": torch.zeros(1)})
    save("d/model-00002-of-00002.safetensors", {"b": torch.zeros(1)})
    index = {"metadata": {"total_size": 9}, "weight_map": {"a": "model-00001-of-00002.safetensors"}}
    index["weight_map"]["b"] = "model-00002-of-00002.safetensors"
    (tmp_path / "d" / "model.safetensors.index.json").write_text(json.dumps(index))
    report = verify(tmp_path / "d")
    assert report.ok and "total_size of 9 bytes; the tensors take 8" in report.notes[0]
    index["weight_map"]["b"] = "model-00001-of-00002.safetensors"
    (tmp_path / "d" / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(CheckpointError, match="does not agree"):
        verify(tmp_path / "d")


def test_a_checkpoint_with_tensors_of_both_kinds_of_unreadable(tmp_path):
    from zoo_tools.soundness import check_soundness

    (tmp_path / "x").write_bytes(b"abc")
    checkpoint = Checkpoint(
        format="torch",
        location=tmp_path / "x",
        files=[tmp_path / "x"],
        records={},
        unsupported={"s": "sparse"},
        warnings=["odd"],
    )
    assert check_soundness(checkpoint).notes == ("odd", "Not checked, since zoo can't read them: 's'.")


def test_crcs_that_torch_was_told_not_to_write_are_no_damage(tmp_path):
    path = tmp_path / "x.pt"
    torch.serialization.set_crc32_options(False)
    try:
        torch.save({"weight": torch.ones(3)}, path)
    finally:
        torch.serialization.set_crc32_options(True)
    report = verify(path)
    assert report.ok
    assert [note for note in report.notes if "damage to its contents can't be seen" in note]
