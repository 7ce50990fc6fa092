"""How two checkpoints differ."""

from __future__ import annotations

import json
import math
import sys

import numpy
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from zoo.checkpoint import DType, StoredBytes, TensorRecord, open_checkpoint
from zoo.errors import MissingDependency
from zoo_tools import diff
from zoo_tools.statistics import BLOCK_ELEMENTS, measure


@pytest.fixture
def two(tmp_path):
    def write(a, b):
        save_file(a, tmp_path / "a.safetensors")
        save_file(b, tmp_path / "b.safetensors")
        return tmp_path / "a.safetensors", tmp_path / "b.safetensors"

    return write


@pytest.fixture
def measured(two):
    def run(a, b):
        one, other = (open_checkpoint(path)["x"] for path in two({"x": a}, {"x": b}))
        return measure(one, other)

    return run


def test_every_kind_of_change(two):
    a = {
        "same": torch.ones(3),
        "gone": torch.ones(1),
        "shape": torch.ones(2, 3),
        "dtype": torch.ones(2),
        "both": torch.ones(2),
        "values": torch.ones(4),
    }
    b = {
        "same": torch.ones(3),
        "new": torch.ones(1),
        "shape": torch.ones(3, 2),
        "dtype": torch.ones(2).half(),
        "both": torch.ones(3).half(),
        "values": torch.tensor([1.0, 1.0, 3.0, 1.0]),
    }
    report = diff(*two(a, b))
    assert {change.name: change.kind for change in report.changes} == {
        "gone": "removed",
        "new": "added",
        "shape": "reshaped",
        "both": "reshaped",
        "dtype": "retyped",
        "values": "changed",
    }
    assert report.equal == 1 and not report.same
    (dtype,) = report.of_kind("retyped")
    assert (dtype.before, dtype.after, dtype.statistics) == (("F32", (2,)), ("F16", (2,)), None)
    values = json.loads(json.dumps(report.to_json()))
    assert values["changes"][0] == {
        "kind": "removed",
        "name": "gone",
        "before": {"dtype": "F32", "shape": [1]},
        "after": None,
        "statistics": None,
        "reason": "",
    }


def test_no_difference(two):
    report = diff(*two({"x": torch.tensor([math.nan])}, {"x": torch.tensor([math.nan])}), stats=True)
    assert report.same and report.equal == 1 and report.changes == ()


def test_statistics_say_how_much_and_where(measured):
    a = torch.zeros(3, 4)
    a[0, 0], a[2, 3] = 100.0, 1.0
    b = a.clone()
    b[0, 0], b[2, 3] = 110.0, 2.0
    found = measured(a, b)
    assert (found.differing, found.nan) == (2, 0)
    assert (found.max_absolute, found.max_absolute_at) == (10.0, (0, 0))
    assert (found.max_relative, found.max_relative_at) == (0.5, (2, 3))


@pytest.mark.parametrize(
    ("a", "b", "differing", "absolute", "nan"),
    [
        ([math.nan, 1.0], [math.nan, 1.0], 0, 0.0, 0),
        ([math.nan, 1.0], [0.0, 1.0], 1, math.inf, 1),
        ([math.inf, 1.0], [math.inf, 3.0], 1, 2.0, 0),
        ([math.inf], [-math.inf], 1, math.inf, 0),
        ([1.0], [math.inf], 1, math.inf, 0),
        ([0.0], [-0.0], 0, 0.0, 0),
    ],
)
def test_numbers_that_are_none(measured, a, b, differing, absolute, nan):
    found = measured(torch.tensor(a), torch.tensor(b))
    assert (found.differing, found.max_absolute, found.nan) == (differing, absolute, nan)
    json.dumps(found.to_json(), allow_nan=False)


def test_places_beyond_the_first_block(measured):
    a = torch.zeros(3, BLOCK_ELEMENTS)
    b = a.clone()
    b[1, 5], b[2, 7] = 1.0, 2.0
    found = measured(a, b)
    assert (found.max_absolute_at, found.differing) == ((2, 7), 2)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (torch.tensor([1.0, 2.5]), torch.tensor([1.0, 2.0]).bfloat16()),
        (torch.tensor([1.0, 2.5]).half(), torch.tensor([1.0, 2.0]).double()),
        (torch.tensor([1, 250], dtype=torch.uint8), torch.tensor([1, 200], dtype=torch.int64)),
        (torch.tensor([True, True]), torch.tensor([True, False])),
        (torch.tensor([1 + 1j, 2 + 2j]), torch.tensor([1 + 1j, 2 - 2j])),
    ],
)
def test_dtypes_are_compared_by_value(measured, a, b):
    expected = (a.to(torch.complex128) - b.to(torch.complex128)).abs().max().item()
    assert measured(a, b).max_absolute == expected


FLOAT8 = {
    DType.F8_E4M3: torch.float8_e4m3fn,
    DType.F8_E5M2: torch.float8_e5m2,
    DType.F8_E4M3FNUZ: torch.float8_e4m3fnuz,
    DType.F8_E5M2FNUZ: torch.float8_e5m2fnuz,
    DType.F8_E8M0: torch.float8_e8m0fnu,
}


@pytest.mark.parametrize("dtype", FLOAT8, ids=lambda dtype: dtype.name)
def test_every_float_of_eight_bits(tmp_path, dtype):
    """All 256 of them are what torch says they are."""
    content = bytes(range(256))
    values = torch.frombuffer(bytearray(content), dtype=FLOAT8[dtype]).to(torch.float64)
    (tmp_path / "a").write_bytes(content)
    (tmp_path / "b").write_bytes(values.numpy().tobytes())
    a = TensorRecord("x", dtype, (256,), StoredBytes(tmp_path / "a", 0, 256))
    b = TensorRecord("x", DType.F64, (256,), StoredBytes(tmp_path / "b", 0, 2048))
    assert measure(a, b).differing == 0


def test_elements_that_share_bytes_have_no_statistics(tmp_path):
    (tmp_path / "a").write_bytes(b"\x12")
    record = TensorRecord("x", DType.F4, (2,), StoredBytes(tmp_path / "a", 0, 1))
    assert "F4" in measure(record, record)


@given(
    st.lists(st.tuples(*[st.floats(width=32, allow_nan=True)] * 2), min_size=1, max_size=20),
)
def test_statistics_against_numpy(tmp_path_factory, pairs):
    directory = tmp_path_factory.mktemp("pairs")
    a, b = (numpy.array(side, "<f4") for side in zip(*pairs, strict=True))
    (directory / "a").write_bytes(a.tobytes())
    (directory / "b").write_bytes(b.tobytes())
    one, other = (
        TensorRecord("x", DType.F32, a.shape, StoredBytes(directory / name, 0, a.nbytes)) for name in ("a", "b")
    )
    found = measure(one, other)
    same = (a == b) | (numpy.isnan(a) & numpy.isnan(b))
    assert found.differing == int((~same).sum())
    assert found.nan == int((numpy.isnan(a) ^ numpy.isnan(b)).sum())
    if found.differing:
        (place,) = found.max_absolute_at
        assert not same[place]
        x, y = float(a[place]), float(b[place])
        assert found.max_absolute == (abs(x - y) if not math.isnan(x - y) else math.inf)
        distances = [abs(float(p) - float(q)) for p, q in zip(a[~same], b[~same], strict=True)]
        assert all(distance <= found.max_absolute for distance in distances if not math.isnan(distance))


def test_without_numpy_only_statistics_are_refused(two, monkeypatch):
    paths = two({"x": torch.zeros(1)}, {"x": torch.ones(1)})
    monkeypatch.setitem(sys.modules, "numpy", None)
    assert [change.kind for change in diff(*paths).changes] == ["changed"]
    with pytest.raises(MissingDependency, match=r"pip install numpy.*--stats"):
        diff(*paths, stats=True)


def test_progress_ends_with_all(two):
    told = []
    diff(
        *two({"x": torch.zeros(4), "y": torch.zeros(2)}, {"x": torch.ones(4), "y": torch.zeros(2)}),
        progress=lambda done, total: told.append((done, total)),
    )
    assert told[-1] == (24, 24)
