"""How much the elements of two tensors differ, and where, in constant memory. Needs numpy, from the extra `torch`."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from zoo.checkpoint import DType, TensorRecord
from zoo.checkpoint.numpy_extra import require_numpy
from zoo.describe import Description, Json
from zoo_tools.elements import blocks

if TYPE_CHECKING:
    from numpy import ndarray

    Array = ndarray[Any, Any]

__all__ = ["Statistics", "measure", "require_statistics"]

BLOCK_ELEMENTS = 2**18


@dataclass(frozen=True, slots=True)
class Statistics:
    """How much elements differ. NaN is no different from NaN.

    differing: how many are different. max_absolute: the largest |a - b|, infinite where one is infinite or NaN and the
    other is not. max_relative: the largest |a - b| / max(|a|, |b|). at: the index where each is found first.
    nan: at how many places one of the two is NaN and the other is not.
    """

    differing: int
    max_absolute: float
    max_absolute_at: tuple[int, ...]
    max_relative: float
    max_relative_at: tuple[int, ...]
    nan: int

    def to_json(self) -> Description:
        """The statistics as a JSON object; infinity, for which JSON has no word, is "inf"."""
        return {
            "differing": self.differing,
            "max_absolute": _number(self.max_absolute),
            "max_absolute_at": list(self.max_absolute_at),
            "max_relative": _number(self.max_relative),
            "max_relative_at": list(self.max_relative_at),
            "nan": self.nan,
        }


def require_statistics() -> Any:
    """numpy, by which differences are measured. Raises MissingDependency when it is not installed."""
    return require_numpy("Statistics of differences", otherwise="leave out --stats: what differs is shown without it")


def measure(a: TensorRecord, b: TensorRecord) -> Statistics | str:
    """Compare two tensors of one shape, whatever their dtypes; or say why their elements are no numbers to compare.

    Integers are compared as float64, which holds those below 2^53 exactly.
    """
    numpy = require_statistics()
    decoders = _decoder(a.dtype), _decoder(b.dtype)
    if decoders[0] is None or decoders[1] is None:
        dtype = (a if decoders[0] is None else b).dtype
        return f"elements of {dtype.name} don't fill whole bytes"
    decode_a, decode_b = decoders[0], decoders[1]
    differing = nan = start = 0
    best_absolute = best_relative = (0.0, 0)
    widths = a.dtype.bits // 8, b.dtype.bits // 8
    pieces = zip(blocks(a, BLOCK_ELEMENTS * widths[0]), blocks(b, BLOCK_ELEMENTS * widths[1]), strict=True)
    with numpy.errstate(invalid="ignore", over="ignore", divide="ignore"):
        for block, other in pieces:
            x, y = decode_a(block), decode_b(other)
            x_nan, y_nan = numpy.isnan(x), numpy.isnan(y)
            unequal = (x != y) & ~(x_nan & y_nan)
            count = int(unequal.sum())
            if count:
                differing += count
                nan += int((x_nan ^ y_nan).sum())
                difference = numpy.where(unequal, numpy.abs(x - y), 0.0)
                difference[numpy.isnan(difference)] = math.inf
                scale = numpy.maximum(numpy.abs(x), numpy.abs(y))
                relative = numpy.where(unequal, difference / scale, 0.0)
                relative[numpy.isnan(relative)] = math.inf
                best_absolute = _larger(best_absolute, difference, start)
                best_relative = _larger(best_relative, relative, start)
            start += len(x)
    return Statistics(
        differing,
        best_absolute[0],
        _index(best_absolute[1], a.shape) if differing else (),
        best_relative[0],
        _index(best_relative[1], a.shape) if differing else (),
        nan,
    )


def _larger(best: tuple[float, int], values: Array, start: int) -> tuple[float, int]:
    place = int(values.argmax())
    value = float(values[place])
    return (value, start + place) if value > best[0] else best


def _index(position: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    places = []
    for size in reversed(shape):
        position, place = divmod(position, size)
        places.append(place)
    return tuple(places[::-1])


def _number(value: float) -> Json:
    return value if math.isfinite(value) else str(value)


@cache
def _decoder(dtype: DType) -> Callable[[bytes], Array] | None:
    """Little-endian bytes -> numbers as float64, or complex128; None for elements that share bytes."""
    numpy = require_statistics()
    plain = {
        DType.BOOL: "u1",
        DType.U8: "u1",
        DType.I8: "i1",
        DType.U16: "<u2",
        DType.I16: "<i2",
        DType.U32: "<u4",
        DType.I32: "<i4",
        DType.U64: "<u8",
        DType.I64: "<i8",
        DType.F16: "<f2",
        DType.F32: "<f4",
        DType.F64: "<f8",
    }
    if dtype in plain:
        code = plain[dtype]
        return lambda content: numpy.frombuffer(content, code).astype("f8")
    if dtype is DType.C64:
        return lambda content: numpy.frombuffer(content, "<c8").astype("c16")
    if dtype is DType.BF16:
        # A bfloat16 is the upper half of a float32.
        return lambda content: (numpy.frombuffer(content, "<u2").astype("<u4") << 16).view("<f4").astype("f8")
    if dtype in _BYTE_FLOATS:
        values = numpy.array([_BYTE_FLOATS[dtype](byte) for byte in range(256)], "f8")
        return lambda content: values[numpy.frombuffer(content, "u1")]
    return None


def _e5m2(byte: int) -> float:
    """IEEE-like, with infinities (Micikevicius et al., FP8 Formats for Deep Learning, 2022)."""
    return _small_float(byte, exponent_bits=5, bias=15, has_infinity=True)


def _e4m3(byte: int) -> float:
    """No infinities; NaN where all bits but the sign are 1 (same paper)."""
    return math.nan if byte & 0x7F == 0x7F else _small_float(byte, exponent_bits=4, bias=7)


def _e5m2_fnuz(byte: int) -> float:
    """No infinities and no negative zero, whose place NaN has (Noune et al., 8-bit Numerical Formats, 2022)."""
    return math.nan if byte == 0x80 else _small_float(byte, exponent_bits=5, bias=16)


def _e4m3_fnuz(byte: int) -> float:
    """As above."""
    return math.nan if byte == 0x80 else _small_float(byte, exponent_bits=4, bias=8)


def _e8m0(byte: int) -> float:
    """A power of two (OCP Microscaling Formats, 2023)."""
    return math.nan if byte == 0xFF else 2.0 ** (byte - 127)


def _small_float(byte: int, *, exponent_bits: int, bias: int, has_infinity: bool = False) -> float:
    fraction_bits = 7 - exponent_bits
    sign = -1.0 if byte & 0x80 else 1.0
    exponent = (byte & 0x7F) >> fraction_bits
    fraction = byte & ((1 << fraction_bits) - 1)
    if has_infinity and exponent == (1 << exponent_bits) - 1:
        return math.nan if fraction else sign * math.inf
    if exponent == 0:
        return sign * fraction * 2.0 ** (1 - bias - fraction_bits)
    return sign * (1 + fraction / (1 << fraction_bits)) * 2.0 ** (exponent - bias)


_BYTE_FLOATS: dict[DType, Callable[[int], float]] = {
    DType.F8_E5M2: _e5m2,
    DType.F8_E4M3: _e4m3,
    DType.F8_E5M2FNUZ: _e5m2_fnuz,
    DType.F8_E4M3FNUZ: _e4m3_fnuz,
    DType.F8_E8M0: _e8m0,
}
