"""Two checkpoints side by side: which tensors have a partner, whatever the format and sharding of each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from zoo.checkpoint import Checkpoint, TensorRecord, open_checkpoint
from zoo.checkpoint.aliases import with_aliases

__all__ = ["Pair", "Side", "open_sides", "pairs"]


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two: all tensors under all their names, those that are stored once under several among them.

    unsupported: names of tensors that can't be read -> why.
    """

    location: Path
    format: str
    records: Mapping[str, TensorRecord]
    unsupported: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Pair:
    """A name, and what each side has under it. None: nothing that can be read; see `Side.unsupported`."""

    name: str
    a: TensorRecord | None
    b: TensorRecord | None


def open_sides(a: Path, b: Path, select: str | None) -> tuple[Side, Side]:
    """Open both, and of files that hold more than a model only that part (see `select_tensors`).

    select: the dotted prefix of that part, in those of the two that have any; None leaves it to the file.
    """
    checkpoints = open_checkpoint(a), open_checkpoint(b)
    none_has_parts = all(checkpoint.selection is None for checkpoint in checkpoints)
    first, second = (
        _side(checkpoint, select if checkpoint.selection is not None or none_has_parts else None)
        for checkpoint in checkpoints
    )
    return first, second


def pairs(a: Side, b: Side) -> Iterator[Pair]:
    """Every name of either side once: those of the first in its order, then what only the second has."""
    for name in (*a.records, *a.unsupported):
        yield Pair(name, a.records.get(name), b.records.get(name))
    for name in (*b.records, *b.unsupported):
        if name not in a.records and name not in a.unsupported:
            yield Pair(name, None, b.records.get(name))


def _side(checkpoint: Checkpoint, select: str | None) -> Side:
    if select is not None or checkpoint.selection is not None:
        from zoo.checkpoint.select import select_tensors

        checkpoint = select_tensors(checkpoint, select)
    records = with_aliases(checkpoint)
    unreadable = {name: reason for name, reason in checkpoint.unsupported.items() if name not in records}
    return Side(checkpoint.location, checkpoint.format, records, unreadable)
