"""Tensors that share their bytes: tied ones, which are one tensor under several names, and views into one storage."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Iterator
from itertools import pairwise
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
    records = checkpoint.values()
    starts = Counter(record.data.offset for record in records)
    aliased = set(checkpoint.aliases.values())
    groups: dict[Hashable, list[str]] = {}
    keys: dict[str, Hashable] = {}
    for record in records:
        # Of many tensors few begin where another one does; to compare only these is ten times faster.
        if (starts[record.data.offset] > 1 or record.name in aliased) and 0 not in record.shape:
            keys[record.name] = key = (record.data, record.dtype, record.shape)
            groups.setdefault(key, []).append(record.name)
    for alias, kept in checkpoint.aliases.items():
        if kept in keys:
            groups[keys[kept]].append(alias)
    return tuple(tuple(names) for names in groups.values() if len(names) > 1)


def overlapping_groups(records: Iterable[TensorRecord]) -> tuple[tuple[tuple[str, ...], ...], dict[Path, int]]:
    """The names of tensors that share bytes of a file, group by group; and for each file how many bytes its tensors
    count more than once (a view that reads over others' elements between its own is counted with what it skips).

    records: without repetitions of tied tensors. Groups and names are in their order.
    """
    spans: dict[Path, list[tuple[int, int, int, TensorRecord]]] = defaultdict(list)
    for number, record in enumerate(records):
        data = record.data
        # What has no place of its own, such as a small array inside a pickle, is at offset 0.
        if data.nbytes and (data.offset or not isinstance(data, EncodedBytes)):
            spans[data.path].append((data.offset, data.offset + data.nbytes, number, record))
    groups: list[list[tuple[int, TensorRecord]]] = []
    shared: dict[Path, int] = {}
    for path, in_file in spans.items():
        in_file.sort()  # no two have the same number, so that records are never compared
        if all(before[1] <= after[0] for before, after in pairwise(in_file)):
            continue
        for start, end, group in _chains(in_file):
            if len(group) > 1:
                groups.append(sorted(group, key=lambda member: member[0]))
                counted = sum(bytes_in_file(record) for _, record in group)
                shared[path] = shared.get(path, 0) + max(0, counted - (end - start))
    groups.sort(key=lambda group: group[0][0])
    return tuple(tuple(record.name for _, record in group) for group in groups), shared


def _chains(
    spans: Iterable[tuple[int, int, int, TensorRecord]],
) -> Iterator[tuple[int, int, list[tuple[int, TensorRecord]]]]:
    """Sorted spans, those that overlap one after another together: (begin, end, [(number, record), ...])."""
    group: list[tuple[int, TensorRecord]] = []
    start = reach = 0
    for begin, end, number, record in spans:
        if group and begin >= reach:
            yield start, reach, group
            group = []
        if not group:
            start, reach = begin, end
        group.append((number, record))
        reach = max(reach, end)
    if group:
        yield start, reach, group
