"""Tensors that share their bytes: tied ones, which are one tensor under several names, and views into one storage."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable
from pathlib import Path

from zoo.checkpoint import Checkpoint, EncodedBytes, TensorRecord

__all__ = ["bytes_in_file", "overlapping_groups", "tied_groups"]


def bytes_in_file(record: TensorRecord) -> int:
    """The bytes that a tensor takes in its file: encoded ones as they are, repeated elements once."""
    if isinstance(record.data, EncodedBytes):
        return record.data.nbytes
    return min(record.nbytes, record.data.nbytes)


def tied_groups(checkpoint: Checkpoint) -> tuple[tuple[str, ...], ...]:
    """The names of each tensor that has several, in the order of the file: the same bytes, dtype, shape and strides.

    Tensors without elements share nothing.
    """
    groups: dict[Hashable, list[str]] = defaultdict(list)
    keys: dict[str, Hashable] = {}
    for name, record in checkpoint.items():
        if record.elements:
            keys[name] = key = (record.data, record.dtype, record.shape)
            groups[key].append(name)
    for alias, kept in checkpoint.aliases.items():
        if kept in keys:
            groups[keys[kept]].append(alias)
    return tuple(tuple(names) for names in groups.values() if len(names) > 1)


def overlapping_groups(records: Iterable[TensorRecord]) -> tuple[tuple[tuple[str, ...], ...], dict[Path, int]]:
    """The names of tensors that share bytes of a file, group by group; and for each file how many bytes its tensors
    count more than once (a view that reads over others' elements between its own is counted with what it skips).

    records: without repetitions of tied tensors.
    """
    by_file: dict[Path, list[tuple[int, int, TensorRecord]]] = defaultdict(list)
    for record in records:
        if record.data.nbytes:
            begin = record.data.offset
            by_file[record.data.path].append((begin, begin + record.data.nbytes, record))
    groups: list[tuple[str, ...]] = []
    shared: dict[Path, int] = {}
    for path, spans in by_file.items():
        spans.sort(key=lambda span: span[:2])
        group: list[TensorRecord] = []
        start = reach = 0
        for begin, end, record in spans:
            if group and begin >= reach:
                _close(group, reach - start, groups, shared, path)
                group = []
            if not group:
                start, reach = begin, end
            group.append(record)
            reach = max(reach, end)
        _close(group, reach - start, groups, shared, path)
    return tuple(groups), shared


def _close(
    group: list[TensorRecord], span: int, groups: list[tuple[str, ...]], shared: dict[Path, int], path: Path
) -> None:
    if len(group) == 1:
        return
    groups.append(tuple(record.name for record in group))
    counted = sum(map(bytes_in_file, group))
    shared[path] = shared.get(path, 0) + max(0, counted - span)
