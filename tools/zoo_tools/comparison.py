"""How two checkpoints differ, tensor by tensor."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from zoo.checkpoint import TensorRecord
from zoo.describe import Description, Json
from zoo_tools.elements import first_differences
from zoo_tools.pairing import open_sides, pairs
from zoo_tools.statistics import Statistics, measure, require_statistics

__all__ = ["DiffReport", "TensorChange", "diff"]

ChangeKind = Literal["added", "removed", "reshaped", "retyped", "changed", "unreadable"]


@dataclass(frozen=True, slots=True)
class TensorChange:
    """A tensor that is not the same in both. kind: of what is different the first in this order: added, removed,
    reshaped, retyped, changed (elements).

    before, after: (dtype, shape) in the first and in the second, None where it is not. statistics: of its elements,
    when they were asked for and can be compared. reason: why the tensor can't be read, or has no statistics.
    """

    kind: ChangeKind
    name: str
    before: tuple[str, tuple[int, ...]] | None
    after: tuple[str, tuple[int, ...]] | None
    statistics: Statistics | None = None
    reason: str = ""

    def to_json(self) -> Description:
        """The change as a JSON object."""
        return {
            "kind": self.kind,
            "name": self.name,
            "before": _tensor_to_json(self.before),
            "after": _tensor_to_json(self.after),
            "statistics": None if self.statistics is None else self.statistics.to_json(),
            "reason": self.reason,
        }


@dataclass(frozen=True, slots=True)
class DiffReport:
    """What `diff` found. equal: how many tensors are the same in both."""

    a: Path
    b: Path
    equal: int
    changes: tuple[TensorChange, ...]

    @property
    def same(self) -> bool:
        """Whether both hold the same tensors."""
        return not self.changes

    def of_kind(self, kind: ChangeKind) -> tuple[TensorChange, ...]:
        """The changes of one kind, in the order of the files."""
        return tuple(change for change in self.changes if change.kind == kind)

    def to_json(self) -> Description:
        """The report as a JSON object."""
        return {
            "same": self.same,
            "a": str(self.a),
            "b": str(self.b),
            "equal": self.equal,
            "changes": [change.to_json() for change in self.changes],
        }


def diff(
    a: str | os.PathLike[str],
    b: str | os.PathLike[str],
    *,
    stats: bool = False,
    select: str | None = None,
    jobs: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> DiffReport:
    """Compare two checkpoints of any format and sharding, tensor by tensor; elements as bytes: NaN equals itself.

    stats: say of each tensor whose elements differ how much and where; of one whose dtype differs, too. Needs numpy.
    select: the part of a training checkpoint that is meant, e.g. "state_dict"; by default the one that is the model.
    jobs: how many threads compare; by default up to 4. progress: called with the bytes that are done and those in all.
    Raises a child of CheckpointError when one of them can't be opened, MissingDependency for stats without numpy.
    """
    if stats:
        require_statistics()
    first, second = open_sides(Path(a), Path(b), select)
    changes: list[TensorChange] = []
    comparable: list[tuple[str, TensorRecord, TensorRecord]] = []
    for pair in pairs(first, second):
        reason = first.unsupported.get(pair.name, second.unsupported.get(pair.name))
        if pair.a is not None and pair.b is not None:
            if pair.a.shape == pair.b.shape:
                comparable.append((pair.name, pair.a, pair.b))
            else:
                changes.append(_change("reshaped", pair.name, pair.a, pair.b))
        elif reason is not None:
            changes.append(_change("unreadable", pair.name, pair.a, pair.b, reason=reason))
        else:
            changes.append(_change("removed" if pair.b is None else "added", pair.name, pair.a, pair.b))
    of_one_type = [(record, other) for _, record, other in comparable if record.dtype is other.dtype]
    found = iter(first_differences(of_one_type, jobs=jobs, progress=progress))
    for name, record, other in comparable:
        if record.dtype is not other.dtype:
            changes.append(_measured("retyped", name, record, other, stats=stats))
        elif next(found) is not None:
            changes.append(_measured("changed", name, record, other, stats=stats))
    equal = len(comparable) - sum(change.kind in ("retyped", "changed") for change in changes)
    return DiffReport(first.location, second.location, equal, tuple(_in_order(changes)))


def _measured(kind: ChangeKind, name: str, a: TensorRecord, b: TensorRecord, *, stats: bool) -> TensorChange:
    if not stats:
        return _change(kind, name, a, b)
    measured = measure(a, b)
    if isinstance(measured, str):
        return _change(kind, name, a, b, reason=measured)
    return _change(kind, name, a, b, statistics=measured)


def _change(
    kind: ChangeKind,
    name: str,
    a: TensorRecord | None,
    b: TensorRecord | None,
    *,
    statistics: Statistics | None = None,
    reason: str = "",
) -> TensorChange:
    before, after = (None if record is None else (record.dtype.name, record.shape) for record in (a, b))
    return TensorChange(kind, name, before, after, statistics, reason)


def _in_order(changes: Iterable[TensorChange]) -> list[TensorChange]:
    order = {"removed": 0, "added": 1, "reshaped": 2, "retyped": 3, "changed": 4, "unreadable": 5}
    return sorted(changes, key=lambda change: order[change.kind])


def _tensor_to_json(tensor: tuple[str, tuple[int, ...]] | None) -> Json:
    return None if tensor is None else {"dtype": tensor[0], "shape": list(tensor[1])}
