"""Views into storages, row-major: transposes, slices, repeats, whatever the strides. Bounded memory, without numpy.

The elements are taken in blocks of the output. For each block the bytes that it needs are read in as few calls as the
gaps between them allow, then spread by slice assignments between typed memoryviews, which run in C.
"""

from __future__ import annotations

import itertools
import os
from array import array
from collections.abc import Iterable, Iterator, Sequence
from math import prod
from pathlib import Path
from typing import NamedTuple, Protocol

from zoo.checkpoint.records import StridedBytes
from zoo.checkpoint.regular_file import read_up_to

__all__ = ["BLOCK_BYTES", "TooShort", "contiguous_range", "read_strided", "rearrange"]

BLOCK_BYTES = 2**22
"""The most bytes of a piece of output. The larger it is, the longer are the runs that a transpose reads."""

READ_BYTES = 2**20
"""The most bytes that are read before they are spread: what a processor's cache holds is spread faster."""

_GAP = 2**12
"""To read as many bytes that nobody asked for takes about as long as one more call to the system."""

_CODES = {array(code).itemsize: code for code in "BHILQ"}


class TooShort(Exception):
    """The file ends before a byte that the view needs. args: where it ends."""


class _Dimension(NamedTuple):
    """size; source: elements from one to the next in what is read; target: the same in the output."""

    size: int
    source: int
    target: int


class _Read(Protocol):
    """Fill a buffer with pieces of one length, each from its offset in the file."""

    def __call__(self, buffer: memoryview, length: int, offsets: Iterable[int]) -> None: ...


def contiguous_range(data: StridedBytes) -> tuple[int, int] | None:
    """Offset and length of the bytes when the elements lie row-major and little-endian already, else None."""
    if 0 in data.shape:
        return data.offset, 0
    if data.swapped > 1:
        return None
    dimensions = _dimensions(data.shape, data.strides)
    if not dimensions or (len(dimensions) == 1 and dimensions[0].source == 1):
        return data.offset, prod(data.shape) * data.itemsize
    return None


def read_strided(descriptor: int, data: StridedBytes, path: Path) -> Iterator[memoryview]:
    """The elements of a view, row-major and little-endian, in pieces of at most BLOCK_BYTES.

    Raises TooShort when the file ends before what the view reaches, CheckpointError when it can't be read.
    """
    if 0 in data.shape:
        return

    def read(buffer: memoryview, length: int, offsets: Iterable[int]) -> None:
        _fill(descriptor, buffer, length, offsets, path)

    yield from _pieces(read, data)


def rearrange(content: memoryview, data: StridedBytes) -> Iterator[memoryview]:
    """The same for a view into bytes that are in memory already; its offset counts from their first."""
    if 0 in data.shape:
        return

    def read(buffer: memoryview, length: int, offsets: Iterable[int]) -> None:
        end = 0
        for offset in offsets:
            begin, end = end, end + length
            buffer[begin:end] = content[offset : offset + length]

    yield from _pieces(read, data)


def _pieces(read: _Read, data: StridedBytes) -> Iterator[memoryview]:
    dimensions = _dimensions(data.shape, data.strides)
    for block, origin in _blocks(dimensions, data.itemsize):
        length = prod(dimension.size for dimension in block)
        output = array(_CODES[data.itemsize], bytes(data.itemsize)) * length
        _gather(read, block, data.offset + origin * data.itemsize, memoryview(output), 0)
        piece = _little_endian(output, data.swapped)
        del output  # the next block is not to find this one still in memory
        yield piece
        del piece


def _dimensions(shape: Sequence[int], strides: Sequence[int]) -> list[_Dimension]:
    """Those that matter, neighbours that are one in memory joined; none when there is one element."""
    joined: list[tuple[int, int]] = []
    for size, stride in zip(shape, strides, strict=True):
        if size == 1:
            continue
        if joined and joined[-1][1] == size * stride:
            joined[-1] = (joined[-1][0] * size, stride)
        else:
            joined.append((size, stride))
    dimensions: list[_Dimension] = []
    target = 1
    for size, stride in reversed(joined):
        dimensions.append(_Dimension(size, stride, target))
        target *= size
    return dimensions[::-1]


def _blocks(dimensions: list[_Dimension], itemsize: int) -> Iterator[tuple[list[_Dimension], int]]:
    """The output cut into pieces in its order: the dimensions of each, and the element of the source it begins at."""
    limit = max(1, BLOCK_BYTES // itemsize)
    # A dimension is cut where what is inside of it still fits; what is outside of it is walked through.
    cut = next((place for place, dimension in enumerate(dimensions) if dimension.target <= limit), len(dimensions))
    if cut == len(dimensions):
        yield [], 0
        return
    outside, (size, source, target), inside = dimensions[:cut], dimensions[cut], dimensions[cut + 1 :]
    step = max(1, limit // target)
    for indices in itertools.product(*(range(dimension.size) for dimension in outside)):
        origin = sum(index * dimension.source for index, dimension in zip(indices, outside, strict=True))
        for begin in range(0, size, step):
            count = min(step, size - begin)
            first = [_Dimension(count, source, target)] if count > 1 else []
            yield first + inside, origin + begin * source


def _gather(read: _Read, block: list[_Dimension], origin: int, output: memoryview, place: int) -> None:
    """Read what the block needs and put it at `place` of the output. origin: where in the file its first element is."""
    itemsize = output.itemsize
    # What is repeated is read once; the widest steps come first, as in the file.
    stepping = sorted((dimension for dimension in block if dimension.source), key=lambda d: d.source, reverse=True)
    apart, span = _runs(stepping, itemsize)
    total = prod(dimension.size for dimension in apart) * span
    if total * itemsize > READ_BYTES and stepping:
        widest = stepping[0]
        rest = [dimension for dimension in block if dimension is not widest]
        half = widest.size // 2
        for begin, count in ((0, half), (half, widest.size - half)):
            part = [widest._replace(size=count), *rest] if count > 1 else rest
            _gather(read, part, origin + begin * widest.source * itemsize, output, place + begin * widest.target)
        return
    content = memoryview(bytearray(total * itemsize))
    compact = {}
    step = total
    for dimension in apart:
        step //= dimension.size
        compact[dimension] = step
    read(content, span * itemsize, _offsets(apart, origin, itemsize))
    placed = [dimension._replace(source=compact.get(dimension, dimension.source)) for dimension in block]
    _spread(content.cast(output.format), placed, output, place)  # type: ignore[call-overload]


def _runs(stepping: Sequence[_Dimension], itemsize: int) -> tuple[list[_Dimension], int]:
    """Which dimensions to walk through with a call for each step, and how many elements each call then reads."""
    span = 1
    for place in range(len(stepping) - 1, -1, -1):
        size, source, _ = stepping[place]
        if (source - span) * itemsize > _GAP:
            return list(stepping[: place + 1]), span
        span += (size - 1) * source
    return [], span


def _spread(content: memoryview, block: list[_Dimension], output: memoryview, place: int) -> None:
    """Copy the elements from where they were read to where they belong, the longest dimension at once."""
    if not block:
        output[place] = content[0]
        return
    longest = max(block, key=lambda dimension: dimension.size)
    others = [dimension for dimension in block if dimension is not longest]
    size, source, target = longest
    reach, extent = (size - 1) * source + 1, (size - 1) * target + 1
    steps = [
        [(index * other.source, index * other.target) for index in range(other.size)]
        # The pieces are written in the order of their places.
        for other in sorted(others, key=lambda dimension: dimension.target, reverse=True)
    ]
    for combination in itertools.product(*steps):
        begin, end = 0, place
        for source_step, target_step in combination:
            begin += source_step
            end += target_step
        if source:
            output[end : end + extent : target] = content[begin : begin + reach : source]
        else:
            repeated = memoryview(content[begin : begin + 1].tobytes() * size)
            output[end : end + extent : target] = repeated.cast(output.format)  # type: ignore[call-overload]


def _little_endian(output: array[int], swapped: int) -> memoryview:
    if swapped > 1:
        if swapped != output.itemsize:
            output = array(_CODES[swapped], output.tobytes())
        output.byteswap()
    return memoryview(output).cast("B")


def _offsets(apart: Sequence[_Dimension], origin: int, itemsize: int) -> Iterable[int]:
    ranges = [range(0, size * source * itemsize, source * itemsize) for size, source, _ in apart]
    if len(ranges) == 1:
        return range(origin, origin + ranges[0].stop, ranges[0].step)
    return (origin + sum(steps) for steps in itertools.product(*ranges))


def _fill(descriptor: int, buffer: memoryview, length: int, offsets: Iterable[int], path: Path) -> None:
    end = 0
    for offset in offsets:
        begin, end = end, end + length
        piece = buffer[begin:end]
        try:
            if _preadv(descriptor, (piece,), offset) == length:
                continue
        except OSError:
            pass  # is said in zoo's words below
        # Rarely: a system that reads in pieces or has no such call, a file that ends.
        content = read_up_to(descriptor, length, offset, path)
        if len(content) < length:
            raise TooShort(offset + len(content))
        piece[:] = content


def _no_preadv(descriptor: int, buffers: Sequence[memoryview], offset: int, /) -> int:
    return -1


_preadv = getattr(os, "preadv", _no_preadv)
