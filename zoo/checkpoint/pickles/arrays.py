"""numpy's arrays and scalars as numpy pickles them: a type, a shape, and the elements inside the pickle itself."""

from __future__ import annotations

from codecs import getincrementaldecoder
from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Final, cast

from zoo.checkpoint.describe import found, quoted, shown_path, shown_shape
from zoo.checkpoint.dtypes import DType
from zoo.checkpoint.pickles.inert import Call, Global, Inert, NotBuildable, Rebuild, Span
from zoo.checkpoint.records import EncodedBytes, StoredBytes, StridedBytes, TensorRecord
from zoo.checkpoint.regular_file import open_regular, read_up_to
from zoo.checkpoint.rules import MAX_RANK, shape_problem
from zoo.checkpoint.strided import rearrange
from zoo.errors import MalformedCheckpoint

__all__ = ["ARRAY_REBUILDS", "Array", "array_record"]

_DTYPES: Final = {
    "b1": DType.BOOL,
    "i1": DType.I8,
    "u1": DType.U8,
    "i2": DType.I16,
    "u2": DType.U16,
    "i4": DType.I32,
    "u4": DType.U32,
    "i8": DType.I64,
    "u8": DType.U64,
    "f2": DType.F16,
    "f4": DType.F32,
    "f8": DType.F64,
    "c8": DType.C64,
}
_CHUNK = 2**20
_LONGEST_CODE = 64


class _Type(Inert):
    """A `numpy.dtype`: its code ("f4"), and whether elements are big-endian."""

    __slots__ = ("code", "swapped")

    def __init__(self, code: object) -> None:
        self.code = code[:_LONGEST_CODE].decode("latin-1") if isinstance(code, bytes) else code
        self.swapped = False

    def build(self, state: object) -> None:
        if isinstance(state, tuple) and len(state) > 1:
            self.swapped = state[1] in (">", b">")


class Array(Inert):
    """An array or scalar. content: the bytes, or what stands for them. fortran: whether columns come first."""

    __slots__ = ("content", "fortran", "shape", "type")

    def __init__(self, type: object = None, shape: object = (), content: object = b"", fortran: object = False) -> None:
        self.type = type
        self.shape = shape
        self.content = content
        self.fortran = fortran

    def build(self, state: object) -> None:
        if not isinstance(state, tuple) or len(state) not in (4, 5):
            raise NotBuildable(f"BUILD of an array with {found(state)}")
        self.shape, self.type, self.fortran, self.content = state[-4:]

    @property
    def is_scalar(self) -> bool:
        """Whether it has at most one element."""
        shape = self.shape
        return not isinstance(shape, tuple) or (len(shape) <= MAX_RANK and all(length == 1 for length in shape))


def _reconstruct(args: tuple[object, ...]) -> object:
    subtype = args[0] if args else None
    if isinstance(subtype, Global) and (subtype.module, subtype.name) != ("numpy", "ndarray"):
        subtype.called = True
    return Array()


def _scalar(args: tuple[object, ...]) -> object:
    return Array(args[0], (), args[1]) if len(args) == 2 else Call(None, args)


def _from_buffer(args: tuple[object, ...]) -> object:
    if len(args) != 4:
        return Call(None, args)
    content, type_, shape, order = args
    return Array(type_, shape, content, fortran=order == "F")


def _type(args: tuple[object, ...]) -> object:
    return _Type(args[0] if args else None)


class _Encoded(Inert):
    """`_codecs.encode(text, "latin1")`, by which Python 3 writes bytes in protocols below 3."""

    __slots__ = ("text",)

    def __init__(self, text: str | Span) -> None:
        self.text = text


def _encode(args: tuple[object, ...]) -> object:
    if len(args) == 2 and args[1] in ("latin1", "latin-1"):
        text = args[0]
        if isinstance(text, Span) and text.text:
            return _Encoded(text)
        if isinstance(text, str):
            try:
                return text.encode("latin-1")
            except UnicodeEncodeError:
                pass
    return Call(None, args)


_CORES = ("numpy.core", "numpy._core")
ARRAY_REBUILDS: dict[tuple[str, str], Rebuild | None] = {
    ("numpy", "dtype"): _type,
    ("numpy", "ndarray"): None,
    ("_codecs", "encode"): _encode,
    **{(f"{core}.multiarray", "_reconstruct"): _reconstruct for core in _CORES},
    **{(f"{core}.multiarray", "scalar"): _scalar for core in _CORES},
    **{(f"{core}.numeric", "_frombuffer"): _from_buffer for core in _CORES},
}
"""What calling a global means, by (module, name)."""


def array_record(name: str, array: Array, path: Path, number: int = 0) -> TensorRecord | str:
    """The record of an array, or why it can't be read. number: another one for each array of the file.

    Raises MalformedCheckpoint when its bytes don't fit its shape.
    """
    kind = array.type
    if not isinstance(kind, _Type) or not isinstance(kind.code, str):
        return "it is a numpy array of an element type that is not a plain number"
    dtype = _DTYPES.get(kind.code)
    if dtype is None:
        what = "Python objects" if kind.code.startswith("O") else f"numpy type {quoted(kind.code[:_LONGEST_CODE])}"
        return f"its elements are of {what}, which safetensors does not have"
    shape = array.shape
    if isinstance(shape, tuple) and len(shape) > MAX_RANK:
        raise _malformed(path, name, f"it has {len(shape)} dimensions, more than {MAX_RANK}")
    if not isinstance(shape, tuple) or not all(type(length) is int and length >= 0 for length in shape):
        raise _malformed(path, name, f"expected a shape, found {found(shape)}")
    problem = shape_problem(dtype.bits, shape)
    if problem is not None:
        raise _malformed(path, name, problem)
    expected = dtype.nbytes(prod(shape))
    itemsize = dtype.bits // 8
    unit = (4 if dtype is DType.C64 else itemsize) if kind.swapped and itemsize > 1 else 0
    fortran = bool(array.fortran) and sum(length > 1 for length in shape) > 1
    content = array.content
    strides = _strides(shape, fortran)
    if isinstance(content, Span) and not content.text:
        if content.length != expected:
            raise _malformed(path, name, _mismatch(expected, content.length, dtype, shape))
        if not unit and not fortran:
            return TensorRecord(name, dtype, shape, StoredBytes(path, content.offset, expected))
        data = StridedBytes(path, content.offset, expected, itemsize, shape, strides, unit)
        return TensorRecord(name, dtype, shape, data)
    if isinstance(content, (bytes, str)):
        # Python 2 wrote the bytes as a string, which the machine takes for text where it can be.
        actual = len(content) if isinstance(content, bytes) or content.isascii() else len(content.encode())
        if actual != expected:
            raise _malformed(path, name, _mismatch(expected, actual, dtype, shape))
        offset, length = 0, expected
    elif isinstance(content, _Encoded) and isinstance(content.text, Span):
        offset, length = content.text.offset, content.text.length
    else:
        raise _malformed(path, name, f"expected the bytes of an array, found {type(content).__name__}")

    def decode() -> Iterator[bytes | bytearray | memoryview]:
        pieces = _contents(name, path, content, expected)
        if fortran:
            whole = _gathered(pieces, expected)
            return rearrange(memoryview(whole), StridedBytes(path, 0, expected, itemsize, shape, strides, unit))
        return _swapped(pieces, unit) if unit else iter(pieces)

    encoded = EncodedBytes(path, offset, length, "pickled", decode, exact=True, number=number)
    return TensorRecord(name, dtype, shape, encoded)


def _contents(name: str, path: Path, content: object, expected: int) -> Iterator[bytes]:
    """The bytes as the pickle has them, in pieces."""
    if isinstance(content, _Encoded) and isinstance(content.text, Span):
        return _decoded(name, path, content.text, expected)
    return iter((content.encode() if isinstance(content, str) else cast(bytes, content),))


def _decoded(name: str, path: Path, span: Span, expected: int) -> Iterator[bytes]:
    """The bytes that a long text in the file spells in Latin-1."""
    decoder = getincrementaldecoder("utf-8")()
    total = 0
    with open_regular(path) as (descriptor, _):
        for position in range(span.offset, span.offset + span.length, _CHUNK):
            size = min(_CHUNK, span.offset + span.length - position)
            try:
                piece = decoder.decode(
                    read_up_to(descriptor, size, position, path), position + size == span.offset + span.length
                ).encode("latin-1")
            except UnicodeError as error:
                raise _malformed(path, name, f"its bytes are not spelled in Latin-1: {error}") from error
            total += len(piece)
            if total > expected:
                break
            yield piece
    if total != expected:
        raise _malformed(path, name, f"its bytes are {'more' if total > expected else 'fewer'} than its shape takes")


def _gathered(pieces: Iterator[bytes], expected: int) -> bytearray:
    """All of them in one buffer, which alone holds them: columns can't be turned into rows piece by piece."""
    whole = bytearray(expected)
    end = 0
    for piece in pieces:
        begin, end = end, end + len(piece)
        whole[begin:end] = piece
    return whole


def _swapped(pieces: Iterator[bytes], unit: int) -> Iterator[bytearray]:
    """Units of that many bytes, which pieces may cut, each reversed."""
    rest = b""
    for piece in pieces:
        joined = rest + piece
        whole = len(joined) - len(joined) % unit
        rest = joined[whole:]
        swapped = bytearray(whole)
        for place in range(unit):
            swapped[place::unit] = joined[unit - 1 - place : whole : unit]
        yield swapped


def _strides(shape: tuple[int, ...], fortran: bool) -> tuple[int, ...]:
    strides = []
    step = 1
    for length in shape if fortran else reversed(shape):
        strides.append(step)
        step *= length
    ordered = strides if fortran else strides[::-1]
    return tuple(0 if length == 1 else stride for length, stride in zip(shape, ordered, strict=True))


def _mismatch(expected: int, actual: int, dtype: DType, shape: tuple[int, ...]) -> str:
    return f"{dtype.name} of shape {shown_shape(shape)} takes {expected} bytes, but the pickle has {actual}"


def _malformed(path: Path, name: str, problem: str) -> MalformedCheckpoint:
    return MalformedCheckpoint(f"{shown_path(path)}: tensor {quoted(name)}: {problem}.")
