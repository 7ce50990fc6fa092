"""Whether a checkpoint is sound, and whether two hold the same tensors, bit for bit."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from zoo.checkpoint import Checkpoint, TensorRecord, open_checkpoint
from zoo.describe import Description
from zoo_tools.elements import first_differences
from zoo_tools.pairing import Side, open_sides, pairs
from zoo_tools.soundness import Soundness, check_soundness

__all__ = ["Difference", "VerifyReport", "verify"]

DifferenceKind = Literal["only in a", "only in b", "unreadable", "shape", "dtype", "values"]


@dataclass(frozen=True, slots=True)
class Difference:
    """A tensor that the two don't have alike. detail: what each has, in words."""

    kind: DifferenceKind
    name: str
    detail: str

    def to_json(self) -> Description:
        """The difference as a JSON object."""
        return {"kind": self.kind, "name": self.name, "detail": self.detail}


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What `verify` found. b: None when one checkpoint was checked by itself.

    tensors, nbytes: of one checkpoint what it holds; of two what was compared and is equal, names of tied tensors
    counted each. differences: tensors that are not alike. problems: what is wrong with the files. checks: what was
    checked, in words. notes: what is odd, and wrong in no way.
    """

    a: Path
    b: Path | None
    tensors: int
    nbytes: int
    differences: tuple[Difference, ...]
    problems: tuple[str, ...]
    checks: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether all is well."""
        return not self.differences and not self.problems

    def to_json(self) -> Description:
        """The report as a JSON object."""
        return {
            "ok": self.ok,
            "a": str(self.a),
            "b": None if self.b is None else str(self.b),
            "tensors": self.tensors,
            "bytes": self.nbytes,
            "differences": [difference.to_json() for difference in self.differences],
            "problems": list(self.problems),
            "checks": list(self.checks),
            "notes": list(self.notes),
        }


def verify(
    a: str | os.PathLike[str],
    b: str | os.PathLike[str] | None = None,
    *,
    select: str | None = None,
    jobs: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> VerifyReport:
    """Check one checkpoint, or that two hold the same tensors, whatever the format and sharding of each.

    One: its headers, index and shards are read strictly; the checksums of a zip archive and of our manifest, where
    there are such, are compared with the bytes. Two: names, dtypes, shapes and elements are compared, elements as
    row-major little-endian bytes, so that NaN equals itself; what is encoded (GGUF) is decoded first. A tensor that is
    stored once under several names counts under each.

    select: the part of a training checkpoint that is meant, e.g. "state_dict"; by default the one that is the model.
    jobs: how many threads compare; by default up to 4. progress: called with the bytes that are done and those in all.
    Raises a child of CheckpointError when one of them can't be opened.
    """
    if b is None:
        return _alone(Path(a), progress)
    first, second = open_sides(Path(a), Path(b), select)
    return _together(first, second, jobs, progress)


def _alone(path: Path, progress: Callable[[int, int], None] | None) -> VerifyReport:
    checkpoint: Checkpoint = open_checkpoint(path)
    soundness: Soundness = check_soundness(checkpoint, progress)
    return VerifyReport(
        a=path,
        b=None,
        tensors=len(checkpoint),
        nbytes=sum(record.nbytes for record in checkpoint.values()),
        differences=(),
        problems=soundness.problems,
        checks=soundness.checks,
        notes=soundness.notes,
    )


def _together(
    a: Side, b: Side, jobs: int | None = None, progress: Callable[[int, int], None] | None = None
) -> VerifyReport:
    comparable: list[tuple[str, TensorRecord, TensorRecord]] = []
    differences = []
    for pair in pairs(a, b):
        if pair.a is None or pair.b is None:
            differences.append(_missing(pair.name, a, b))
        elif pair.a.shape != pair.b.shape:
            detail = f"{list(pair.a.shape)} in A, {list(pair.b.shape)} in B"
            differences.append(Difference("shape", pair.name, detail))
        elif pair.a.dtype is not pair.b.dtype:
            detail = f"{pair.a.dtype.name} in A, {pair.b.dtype.name} in B"
            differences.append(Difference("dtype", pair.name, detail))
        else:
            comparable.append((pair.name, pair.a, pair.b))
    found = first_differences([(record, other) for _, record, other in comparable], jobs=jobs, progress=progress)
    equal = equal_bytes = 0
    for (name, record, _), position in zip(comparable, found, strict=True):
        if position is None:
            equal += 1
            equal_bytes += record.nbytes
        else:
            differences.append(Difference("values", name, f"first at {_place(record, position)}"))
    return VerifyReport(
        a=a.location,
        b=b.location,
        tensors=equal,
        nbytes=equal_bytes,
        differences=tuple(differences),
        problems=(),
        checks=("names, dtypes, shapes and the bytes of all elements",),
        notes=(),
    )


def _missing(name: str, a: Side, b: Side) -> Difference:
    for side, letter in ((a, "A"), (b, "B")):
        if name in side.unsupported:
            return Difference("unreadable", name, f"in {letter}: {side.unsupported[name]}")
    return Difference("only in a" if name in a.records else "only in b", name, "")


def _place(record: TensorRecord, position: int) -> str:
    """The element that the byte belongs to."""
    if record.dtype.bits % 8 or not record.shape:
        return f"byte {position}"
    index = position // (record.dtype.bits // 8)
    places = []
    for size in reversed(record.shape):
        index, place = divmod(index, size)
        places.append(place)
    return f"element {places[::-1]}"
