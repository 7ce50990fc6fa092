"""Rounds floating-point tensors to another type while they stream by: to nearest, ties to even; NaN stays NaN.

This needs numpy, which is imported when the first tensor is rounded and not before.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from zoo.checkpoint.dtypes import DType
from zoo.checkpoint.numpy_extra import require_numpy
from zoo.checkpoint.reading import read_bytes
from zoo.checkpoint.records import TensorRecord
from zoo.errors import SaveError

__all__ = ["CASTABLE", "cast_bytes", "require_rounding", "target_dtype"]

CASTABLE = frozenset((DType.F64, DType.F32, DType.F16, DType.BF16))
"""The types that can be rounded; narrower floats come with scales, without which they mean nothing."""

_NAMES = {
    "bf16": DType.BF16,
    "bfloat16": DType.BF16,
    "f16": DType.F16,
    "float16": DType.F16,
    "f32": DType.F32,
    "float32": DType.F32,
    "f64": DType.F64,
    "float64": DType.F64,
}
_NUMPY = {DType.F64: "<f8", DType.F32: "<f4", DType.F16: "<f2", DType.BF16: "<u2"}
_CHUNK = 2**20


def target_dtype(name: str) -> DType:
    """The type that "bf16", "bfloat16", "f16", "float16", ... means. Raises SaveError for any other name."""
    dtype = _NAMES.get(name.lower())
    if dtype is None:
        raise SaveError(f"{name!r} is no type that tensors can be rounded to; expected one of {', '.join(_NAMES)}.")
    return dtype


def require_rounding() -> Any:
    """numpy, with which tensors are rounded. Raises MissingDependency when it is not installed."""
    return require_numpy("Tensors that are rounded to another type", otherwise="leave their types as they are")


def cast_bytes(record: TensorRecord, dtype: DType) -> Iterator[memoryview]:
    """The elements of a tensor of a CASTABLE type in another of them, row-major and little-endian, in pieces.

    Raises MalformedCheckpoint as read_bytes does, MissingDependency without numpy.
    """
    np = require_rounding()
    width = record.dtype.bits // 8
    rest = b""
    for part in read_bytes(record, _CHUNK):
        # Where a system reads in pieces, an element may be cut.
        content = memoryview(rest + bytes(part) if rest else part).cast("B")
        whole = content.nbytes // width * width
        rest = bytes(content[whole:])
        for begin in range(0, whole, _CHUNK):
            elements = np.frombuffer(content[begin : min(begin + _CHUNK, whole)], _NUMPY[record.dtype])
            yield memoryview(_cast(np, elements, record.dtype, dtype)).cast("B")


def _cast(np: Any, elements: Any, source: DType, target: DType) -> Any:
    # What overflows becomes infinite, and what signals not-a-number becomes a quiet one: both are as they should be.
    with np.errstate(all="ignore"):
        if source is DType.BF16:
            elements = (elements.astype("<u4") << 16).view("<f4")
        if target is not DType.BF16:
            return np.ascontiguousarray(elements.astype(_NUMPY[target]))
        if source is DType.F64:
            return _to_bfloat16(np, _to_odd(np, elements))
        return _to_bfloat16(np, elements.astype("<f4"))


def _to_bfloat16(np: Any, elements: Any) -> Any:
    """The upper halves of float32, rounded by what is cut off."""
    bits = elements.view("<u4")
    odd = (bits >> 16) & 1
    rounded = ((bits + (0x7FFF + odd)) >> 16).astype("<u2")
    # A NaN whose payload is in the lower half would become infinite, or wrap around.
    return np.where(np.isnan(elements), ((bits >> 16) | 0x0040).astype("<u2"), rounded)


def _to_odd(np: Any, elements: Any) -> Any:
    """float64 cut to float32, the last bit set when anything was cut off: rounding that again is rounding once."""
    nearest = elements.astype("<f4")
    bits = nearest.view("<u4").copy()
    back = nearest.astype("<f8")
    away = np.abs(back) > np.abs(elements)
    inexact = (back != elements) & ~np.isnan(elements)
    bits[away] -= 1  # towards zero; of infinity it is the largest finite number
    bits[inexact] |= 1
    return bits.view("<f4")
