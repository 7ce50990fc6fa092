"""Rounding is torch's where torch rounds once, and exact where it rounds twice."""

from __future__ import annotations

import struct
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo.checkpoint import DType, StoredBytes, TensorRecord, dtype_cast
from zoo.checkpoint.dtype_cast import cast_bytes, target_dtype
from zoo.errors import MissingDependency, SaveError

TORCH = {DType.F64: torch.float64, DType.F32: torch.float32, DType.F16: torch.float16, DType.BF16: torch.bfloat16}


def bits(tensor: torch.Tensor) -> bytes:
    return tensor.contiguous().view(torch.uint8).numpy().tobytes()


def cast(path: Path, content: bytes, source: DType, target: DType) -> bytes:
    path.write_bytes(content)
    shape = (len(content) * 8 // source.bits,)
    record = TensorRecord("w", source, shape, StoredBytes(path, 0, len(content)))
    return b"".join(map(bytes, cast_bytes(record, target)))


def all_of_16_bits(dtype: torch.dtype) -> torch.Tensor:
    return torch.arange(2**16, dtype=torch.int32).to(torch.uint16).view(dtype)


SOURCES = {
    DType.F16: all_of_16_bits(torch.float16),
    DType.BF16: all_of_16_bits(torch.bfloat16),
    # Every exponent with the mantissas at which rounding to 8 or 11 bits turns.
    DType.F32: torch.tensor(
        [
            sign | exponent << 23 | (mantissa + step) % 2**23
            for sign in (0, 2**31)
            for exponent in range(256)
            for mantissa in (0, 0x1000, 0x2000, 0x3000, 0x8000, 0x10000, 0x18000, 0x7F8000, 0x7FF000)
            for step in (-1, 0, 1)
        ],
        dtype=torch.int64,
    )
    .to(torch.uint32)
    .view(torch.float32),
}


@pytest.mark.parametrize("target", TORCH)
@pytest.mark.parametrize("source", SOURCES)
def test_rounding_is_that_of_torch(tmp_path: Path, source: DType, target: DType) -> None:
    values = SOURCES[source]
    result = torch.frombuffer(bytearray(cast(tmp_path / "w", bits(values), source, target)), dtype=TORCH[target])
    expected = values.to(TORCH[target])
    is_nan = expected.isnan()
    assert torch.equal(result.isnan(), is_nan), "NaN stays NaN, and nothing else becomes one"
    assert bits(result[~is_nan]) == bits(expected[~is_nan])


@settings(deadline=None)
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_float64_is_rounded_once(tmp_path_factory: pytest.TempPathFactory, value: float) -> None:
    """By way of float32 a value just above a tie would be rounded to even, down."""
    path = tmp_path_factory.getbasetemp() / "w"
    content = struct.pack("<d", value)
    upper = struct.unpack("<H", cast(path, content, DType.F64, DType.BF16))[0]
    result = struct.unpack("<f", struct.pack("<I", upper << 16))[0]
    if np.isinf(result):
        assert abs(Fraction(value)) >= Fraction(2) ** 128 - Fraction(2) ** 119
        return
    exact = Fraction(value)
    distance = abs(Fraction(result) - exact)
    for neighbour in (upper - 1, upper + 1):
        other = struct.unpack("<f", struct.pack("<I", (neighbour & 0xFFFF) << 16))[0]
        if np.isfinite(other):
            gap = abs(Fraction(other) - exact)
            assert distance < gap or (distance == gap and upper % 2 == 0) or result == other


def test_a_value_just_above_a_tie() -> None:
    value = 1 + 2**-8 + 2**-40
    assert float(torch.tensor(value, dtype=torch.float64).to(torch.bfloat16)) == 1.0, "torch rounds twice"
    elements = dtype_cast._cast(np, np.array([value]), DType.F64, DType.BF16)
    assert elements.tolist() == [0x3F81]


def test_a_tensor_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A system that reads in pieces may cut an element."""
    monkeypatch.setattr(dtype_cast, "read_bytes", lambda record, chunk: iter([b"\0\0\x80", b"?\0", b"\0", b"\0\x40"]))
    record = TensorRecord("w", DType.F32, (2,), StoredBytes(tmp_path / "w", 0, 8))
    assert b"".join(map(bytes, cast_bytes(record, DType.F16))) == struct.pack("<2e", 1.0, 2.0)


def test_names() -> None:
    assert target_dtype("BFloat16") is target_dtype("bf16") is DType.BF16
    with pytest.raises(SaveError, match=r"'int8' is no type .* bf16"):
        target_dtype("int8")


def test_without_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numpy", None)
    with pytest.raises(MissingDependency, match=r"rounded to another type need numpy(.|\n)*pip install numpy"):
        dtype_cast.require_rounding()
