"""Several files as one checkpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from zoo.checkpoint.describe import listed, quoted, shown_path
from zoo.checkpoint.files import ModelFiles
from zoo.checkpoint.records import Checkpoint, TensorRecord
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
    return Checkpoint(
        format=formats[0],
        location=location,
        files=[path for shard in shards for path in shard.files],
        records=records,
        metadata={**_agreed(shards), **metadata},
        side_files=side_files,
    )


def _agreed(shards: Sequence[Checkpoint]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    disputed = set()
    for shard in shards:
        for key, value in shard.metadata.items():
            if values.setdefault(key, value) != value:
                disputed.add(key)
    return {key: value for key, value in values.items() if key not in disputed}
