"""The elements of two tensors compared as bytes, row-major and little-endian, in constant memory: NaN equals itself."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from zoo.checkpoint import StoredBytes, TensorRecord, read_bytes
from zoo.checkpoint.describe import quoted, shown_path
from zoo.checkpoint.parallel import Progress, default_jobs, run_all
from zoo.checkpoint.reading import stored_bytes
from zoo.checkpoint.regular_file import open_regular, read_up_to
from zoo.errors import MalformedCheckpoint

__all__ = ["BLOCK_BYTES", "Comparison", "blocks", "first_differences"]

BLOCK_BYTES = 2**20
"""Two blocks fit into a processor's cache, where comparing costs next to nothing beside reading."""

MOST_OPEN = 32
SHARE_BYTES = 2**26

PairOfRecords = tuple[TensorRecord, TensorRecord]


def first_differences(
    pairs: Sequence[PairOfRecords],
    *,
    jobs: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[int | None]:
    """For each pair of tensors of one dtype and shape the first byte at which they differ, None where they are equal.

    jobs: how many threads compare. progress: called with the bytes that are done and those in all.
    Raises MalformedCheckpoint when a file has become shorter than its header said.
    """
    found: list[int | None] = [None] * len(pairs)
    total = sum(record.nbytes for record, _ in pairs)
    done = 0

    def tell(nbytes: int) -> None:
        nonlocal done
        done += nbytes
        if progress is not None:
            progress(done, total)

    counter = Progress(tell)

    def compare(places: range) -> None:
        with Comparison(counter) as comparison:
            for place in places:
                record, other = pairs[place]
                found[place] = comparison.first_difference(record, other)

    run_all((partial(compare, places) for places in _shares(pairs)), jobs or default_jobs(), counter)
    return found


def _shares(pairs: Sequence[PairOfRecords]) -> Iterator[range]:
    """Neighbours of about the same size together."""
    start = amount = 0
    for place, (record, _) in enumerate(pairs):
        amount += record.nbytes
        if amount >= SHARE_BYTES or place + 1 == len(pairs):
            yield range(start, place + 1)
            start, amount = place + 1, 0


class Comparison:
    """Compares tensors of the same dtype and shape, and keeps their files open meanwhile.

    progress: told how many bytes of elements are done with since it was told before; a tensor that differs is left at
    its first difference, and then all of it is done with.
    """

    def __init__(self, progress: Callable[[int], None] | None = None) -> None:
        self._progress = progress
        self._files: OrderedDict[Path, tuple[int, ExitStack]] = OrderedDict()
        self._buffers = bytearray(BLOCK_BYTES), bytearray(BLOCK_BYTES)

    def first_difference(self, a: TensorRecord, b: TensorRecord) -> int | None:
        """The first byte at which the elements differ, or None when they are equal.

        Raises MalformedCheckpoint when a file has become shorter than its header said.
        """
        a_data, b_data = stored_bytes(a), stored_bytes(b)
        if a_data is not None and b_data is not None:
            return self._compare_stored(a, a_data, b, b_data)
        position = 0
        for block, other in zip(blocks(a, BLOCK_BYTES), blocks(b, BLOCK_BYTES), strict=True):
            if block != other:
                self._tell(a.nbytes - position)
                return position + _first_unequal(block, other)
            position += len(block)
            self._tell(len(block))
        return None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        while self._files:
            self._files.popitem()[1][1].close()

    def _compare_stored(self, a: TensorRecord, a_data: StoredBytes, b: TensorRecord, b_data: StoredBytes) -> int | None:
        position = 0
        while position < a_data.nbytes:
            length = min(BLOCK_BYTES, a_data.nbytes - position)
            block = self._read(a, a_data, position, length, self._buffers[0])
            other = self._read(b, b_data, position, length, self._buffers[1])
            if block != other:
                self._tell(a_data.nbytes - position)
                return position + _first_unequal(block, other)
            position += length
            self._tell(length)
        return None

    def _read(
        self, record: TensorRecord, data: StoredBytes, position: int, length: int, buffer: bytearray
    ) -> bytes | bytearray:
        """Whole blocks come in the same memory again and again; new memory costs more than the reading."""
        descriptor = self._open(data.path)
        if length == BLOCK_BYTES and hasattr(os, "preadv"):
            try:
                if os.preadv(descriptor, [buffer], data.offset + position) == length:
                    return buffer
            except OSError:
                pass  # reading again says which bytes of which file
        content = read_up_to(descriptor, length, data.offset + position, data.path)
        if len(content) != length:
            raise MalformedCheckpoint(
                f"{shown_path(data.path)}: tensor {quoted(record.name)} spans bytes {data.offset}.."
                f"{data.offset + data.nbytes}, but the file now ends at {data.offset + position + len(content)}; "
                "it was cut short after its header was read."
            )
        return content

    def _open(self, path: Path) -> int:
        if path in self._files:
            self._files.move_to_end(path)
            return self._files[path][0]
        if len(self._files) >= MOST_OPEN:
            self._files.popitem(last=False)[1][1].close()
        stack = ExitStack()
        descriptor, _ = stack.enter_context(open_regular(path))
        self._files[path] = descriptor, stack
        return descriptor

    def _tell(self, nbytes: int) -> None:
        if self._progress is not None:
            self._progress(nbytes)


def blocks(record: TensorRecord, size: int) -> Iterator[bytes]:
    """The elements of a tensor in blocks of exactly this many bytes; the last one has what is left."""
    pending = bytearray()
    for part in read_bytes(record, size):
        view = memoryview(part).cast("B")
        if not pending and view.nbytes == size:
            yield bytes(view)
            continue
        start = 0
        while view.nbytes - start >= size - len(pending):
            end = start + size - len(pending)
            pending += view[start:end]
            yield bytes(pending)
            pending.clear()
            start = end
        pending += view[start:]
    if pending:
        yield bytes(pending)


def _first_unequal(block: bytes | bytearray, other: bytes | bytearray) -> int:
    """Where two blocks begin to differ, by halves."""
    start, end = 0, min(len(block), len(other))
    while end - start > 1:
        middle = (start + end) // 2
        if block[start:middle] == other[start:middle]:
            start = middle
        else:
            end = middle
    return start
