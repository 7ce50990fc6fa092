"""Reads a written file again, by itself, and compares it with what it was made from, byte by byte."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple, NoReturn

from zoo.checkpoint.copying import ends_early
from zoo.checkpoint.describe import listed, quoted, shown_path
from zoo.checkpoint.following import Ready
from zoo.checkpoint.parallel import Progress, run_all
from zoo.checkpoint.plan import FilePlan, TensorPlan
from zoo.checkpoint.records import StoredBytes, TensorRecord
from zoo.checkpoint.regular_file import open_regular, read_up_to
from zoo.checkpoint.safetensors import read_header
from zoo.checkpoint.writer import Piece, TensorSource, pieces_of
from zoo.errors import CheckpointError

__all__ = ["compare_written", "same_contents"]

_STEP = 2**18
_SHARE = 2**26


class _Range(NamedTuple):
    """Bytes of a source that are to be those at an offset of the written file; of one tensor or of neighbours."""

    source: StoredBytes
    offset: int


def compare_written(
    path: Path,
    plan: FilePlan,
    source: TensorSource,
    *,
    metadata: Mapping[str, str],
    jobs: int = 1,
    progress: Progress | None = None,
    ready: Ready | None = None,
) -> None:
    """Check that a written file holds what it was planned to hold, and the very bytes that the source gives.

    Its header is parsed anew; nothing that writing kept in memory is used. progress: told about bytes of tensors.
    ready: waits until the file, which has its full length from the beginning, is written up to a position.
    Raises CheckpointError, or the source's own error, naming the tensor and the byte.
    """
    if ready is not None:
        ready(1)
        ready(os.stat(path).st_size - plan.data_bytes)
    header = read_header(path)
    if header.metadata != dict(metadata):
        raise CheckpointError(f"{shown_path(path)}: read again, its __metadata__ is not what was written.")
    wrong = _differing(header.records, plan)
    if wrong:
        raise CheckpointError(
            f"{shown_path(path)}: read again, its header is not what was written: see {listed(map(quoted, wrong))}."
        )
    progress = progress or Progress()
    comparison = _Comparison(path, header.records, progress, ready or _written_already)
    run_all(comparison.tasks(plan, source), jobs, progress)


def _written_already(position: int) -> None:
    return None


def same_contents(one: Path, other: Path) -> bool:
    """Whether two regular files hold the same bytes; OSError when that can't be read."""
    if os.path.getsize(one) != os.path.getsize(other):
        return False
    with one.open("rb") as first, other.open("rb") as second:
        while part := first.read(_STEP):
            if part != second.read(_STEP):
                return False
        return not second.read(1)


def _differing(records: Mapping[str, TensorRecord], plan: FilePlan) -> list[str]:
    """The names of tensors that are missing, unexpected, of another type or of another shape."""
    wrong = set(records) - {placed.tensor.name for placed in plan.tensors}
    for placed in plan.tensors:
        record = records.get(placed.tensor.name)
        if record is None or (record.dtype, record.shape) != (placed.tensor.dtype, placed.tensor.shape):
            wrong.add(placed.tensor.name)
    return sorted(wrong)


class _Comparison:
    def __init__(self, path: Path, written: Mapping[str, TensorRecord], progress: Progress, ready: Ready) -> None:
        self._path = path
        self._written = written
        self._progress = progress
        self._ready = ready

    def tasks(self, plan: FilePlan, source: TensorSource) -> Iterator[Callable[[], None]]:
        """Comparisons of about the same size. Ranges that follow each other on both sides are compared as one."""
        waiting: list[_Range] = []
        amount = 0
        for placed in plan.tensors:
            tensor = placed.tensor
            offset = self._written[tensor.name].data.offset
            given = source(tensor.name)
            if not isinstance(given, StoredBytes):
                yield lambda tensor=tensor, given=given, offset=offset: self._stream(  # type: ignore[misc]
                    tensor, given, offset
                )
                continue
            for part in _shares(_checked(self._path, tensor, given), offset):
                if waiting and _follows(waiting[-1], part):
                    last = waiting[-1].source
                    joined = StoredBytes(last.path, last.offset, last.nbytes + part.source.nbytes)
                    waiting[-1] = waiting[-1]._replace(source=joined)
                else:
                    waiting.append(part)
                amount += part.source.nbytes
                if amount >= _SHARE:
                    yield lambda ranges=tuple(waiting): self._ranges(ranges)  # type: ignore[misc]
                    waiting.clear()
                    amount = 0
        yield lambda: self._ranges(tuple(waiting))

    def _ranges(self, ranges: tuple[_Range, ...]) -> None:
        with ExitStack() as opened:
            target = opened.enter_context(open_regular(self._path))[0]
            descriptors: dict[Path, int] = {}
            buffers = bytearray(_STEP), bytearray(_STEP)
            for part in ranges:
                path = part.source.path
                if path not in descriptors:
                    descriptors[path] = opened.enter_context(open_regular(path))[0]
                self._range(part, descriptors[path], target, buffers)

    def _range(self, part: _Range, source: int, target: int, buffers: tuple[bytearray, bytearray]) -> None:
        data, offset = part
        for begin in range(0, data.nbytes, _STEP):
            length = min(_STEP, data.nbytes - begin)
            self._ready(offset + begin + length)
            if length == _STEP and _filled(source, target, data.offset + begin, offset + begin, buffers):
                here, there = buffers
            else:
                here = bytearray(read_up_to(source, length, data.offset + begin, data.path))
                there = bytearray(read_up_to(target, length, offset + begin, self._path))
            if here != there:
                if len(here) < length:
                    raise ends_early(data.path, data.offset, data.nbytes)
                self._refuse(offset + begin, here, there)
            self._progress(length)

    def _stream(self, tensor: TensorPlan, given: Piece | Iterator[Piece], offset: int) -> None:
        with open_regular(self._path) as (target, _):
            for piece in pieces_of(self._path, tensor, given):
                if isinstance(piece, StoredBytes):
                    self._ranges((_Range(piece, offset),))
                    offset += piece.nbytes
                    continue
                for begin in range(0, piece.nbytes, _STEP):
                    # A memoryview compares its elements one by one; bytes are compared at once.
                    here = bytes(piece[begin : begin + _STEP])
                    self._ready(offset + len(here))
                    there = read_up_to(target, len(here), offset, self._path)
                    if here != there:
                        self._refuse(offset, here, there)
                    self._progress(len(here))
                    offset += len(here)

    def _refuse(self, offset: int, here: bytes | bytearray, there: bytes | bytearray) -> NoReturn:
        first = next((i for i, (a, b) in enumerate(zip(here, there, strict=False)) if a != b), len(there))
        place = offset + first
        record = next(r for r in self._written.values() if r.data.offset <= place < r.data.offset + r.data.nbytes)
        raise CheckpointError(
            f"{shown_path(self._path)}: tensor {quoted(record.name)}: read again, "
            f"its byte {place - record.data.offset} is not that of the source.",
            hint="The source has changed meanwhile, or the disk or memory of this machine is at fault. Do it again.",
        )


def _filled(source: int, target: int, here: int, there: int, buffers: tuple[bytearray, bytearray]) -> bool:
    """Read a step of both sides into buffers that are there already; False when the system can't at once."""
    if not hasattr(os, "preadv"):
        return False
    try:
        return os.preadv(source, (buffers[0],), here) == _STEP and os.preadv(target, (buffers[1],), there) == _STEP
    except OSError:
        return False  # reading again says which bytes of which file


def _checked(path: Path, tensor: TensorPlan, data: StoredBytes) -> StoredBytes:
    for _ in pieces_of(path, tensor, data):
        pass
    return data


def _shares(data: StoredBytes, offset: int) -> Iterator[_Range]:
    for begin in range(0, data.nbytes, _SHARE):
        part = StoredBytes(data.path, data.offset + begin, min(_SHARE, data.nbytes - begin))
        yield _Range(part, offset + begin)


def _follows(before: _Range, after: _Range) -> bool:
    one, other = before.source, after.source
    return (
        one.offset + one.nbytes == other.offset
        and before.offset + one.nbytes == after.offset
        and one.path == other.path
    )
