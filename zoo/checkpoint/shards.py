"""Several files as one checkpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from zoo.checkpoint.aliases import aliases_of
from zoo.checkpoint.describe import listed, quoted, shown_path
from zoo.checkpoint.files import ModelFiles
from zoo.checkpoint.records import Checkpoint, CodeReport, Selection, TensorRecord
from zoo.errors import CheckpointError

__all__ = ["join_shards"]


def join_shards(
    location: Path, shards: Sequence[Checkpoint], *, metadata: Mapping[str, Any], side_files: ModelFiles
) -> Checkpoint:
    """The tensors of all the shards, shard by shard. metadata: what stands above the shards' own.

    Of the shards' own metadata, a key that two of them give differently is left out: it says nothing of the whole.
    Raises CheckpointError when two shards hold a tensor of one name, or are of different formats.
    """
    formats = sorted({shard.format for shard in shards})
    if len(formats) > 1:
        raise CheckpointError(f"{shown_path(location)}: its shards are of several formats: {', '.join(formats)}.")
    records: dict[str, TensorRecord] = {}
    repeated = []
    for shard in shards:
        for name, record in shard.items():
            if name in records:
                repeated.append(f"{quoted(name)} in {records[name].data.path.name} and {record.data.path.name}")
            records[name] = record
    if repeated:
        raise CheckpointError(
            f"{shown_path(location)}: several files hold a tensor of the same name: {listed(repeated)}.",
            hint="These files are no shards of one checkpoint. Pass the one that you mean, or move the others away.",
        )
    metadata = {**_agreed(shards), **metadata}
    return Checkpoint(
        format=formats[0],
        location=location,
        files=[path for shard in shards for path in shard.files],
        records=records,
        metadata=metadata,
        side_files=side_files,
        aliases=_aliases(shards, metadata, records),
        unsupported={name: reason for shard in shards for name, reason in shard.unsupported.items()},
        selection=_selection(location, shards),
        code=_code(shards),
        warnings=[warning for shard in shards for warning in shard.warnings],
    )


def _aliases(
    shards: Sequence[Checkpoint], metadata: Mapping[str, Any], records: Mapping[str, TensorRecord]
) -> dict[str, str]:
    """What the shards say of their own tensors and, where aliases are written at all, what the index says of any."""
    own = {dropped: kept for shard in shards for dropped, kept in shard.aliases.items() if dropped not in records}
    return {**own, **(aliases_of(metadata, records) if shards[0].format == "safetensors" else {})}


def _selection(location: Path, shards: Sequence[Checkpoint]) -> Selection | None:
    """Shards are parts of one flat state dict; None where the format knows nothing else."""
    nested = [shard for shard in shards if shard.selection is not None and shard.selection.path != ""]
    if nested:
        raise CheckpointError(
            f"{shown_path(location)}: shards hold tensors by name alone, but {shown_path(nested[0].location)} holds "
            "them inside other containers, as a training checkpoint does.",
            hint="Pass the path of that file.",
        )
    return shards[0].selection


def _code(shards: Sequence[Checkpoint]) -> CodeReport | None:
    reports = [shard.code for shard in shards if shard.code is not None]
    if not reports:
        return None
    return CodeReport(tuple(dict.fromkeys(use for report in reports for use in report.globals)))


def _agreed(shards: Sequence[Checkpoint]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    disputed = set()
    for shard in shards:
        for key, value in shard.metadata.items():
            if values.setdefault(key, value) != value:
                disputed.add(key)
    return {key: value for key, value in values.items() if key not in disputed}
