"""The `*.index.json` of the Hub: which shard holds which tensor."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.checkpoint.describe import found, listed, quoted, shown_path
from zoo.checkpoint.directory import ModelDirectory
from zoo.checkpoint.records import Checkpoint
from zoo.checkpoint.regular_file import open_regular, read_up_to
from zoo.checkpoint.rules import MAX_HEADER_BYTES, file_name_problem
from zoo.checkpoint.shards import join_shards
from zoo.checkpoint.strict_json import RepeatedKey, parse_object
from zoo.errors import MalformedCheckpoint

__all__ = ["INDEX_SUFFIX", "ShardIndex", "open_index", "read_index"]

INDEX_SUFFIX = ".index.json"


@dataclass(frozen=True, slots=True)
class ShardIndex:
    """An index, checked by itself. weight_map: tensor name -> file name. metadata: total_size and what else it says."""

    path: Path
    weight_map: Mapping[str, str]
    metadata: Mapping[str, Any]

    @property
    def shards(self) -> tuple[str, ...]:
        """The names of the files, sorted."""
        return tuple(sorted(set(self.weight_map.values())))


def read_index(path: Path) -> ShardIndex:
    """Read an index and check all that can be checked without its shards.

    Raises MalformedCheckpoint when it is no JSON object with a `weight_map` from tensors to files inside its directory.
    """
    with open_regular(path) as (descriptor, size):
        if size > MAX_HEADER_BYTES:
            raise MalformedCheckpoint(
                f"{shown_path(path)} is {size} bytes long; an index has at most {MAX_HEADER_BYTES}."
            )
        content = read_up_to(descriptor, size, 0, path)
    values = parse_object(content, place=shown_path(path))
    weight_map = _object(path, values, "weight_map")
    if not weight_map:
        raise MalformedCheckpoint(f"{shown_path(path)}: field 'weight_map' names no tensor.")
    for name, shard in weight_map.items():
        if not isinstance(shard, str):
            raise MalformedCheckpoint(
                f"{shown_path(path)}: weight_map: tensor {quoted(name)}: expected a file name, found {found(shard)}."
            )
    for shard in sorted(set(weight_map.values())):
        problem = file_name_problem(shard)
        if problem is not None:
            raise MalformedCheckpoint(
                f"{shown_path(path)}: weight_map: {quoted(shard)} names no file inside the directory: {problem}.",
                hint="An index that leads elsewhere may be an attempt to read your files: don't mend it, drop it.",
            )
    metadata = _object(path, values, "metadata") if "metadata" in values else {}
    return ShardIndex(path, weight_map, metadata)


def open_index(
    location: Path, index: ShardIndex, files: ModelDirectory, open_shard: Callable[[Path], Checkpoint]
) -> Checkpoint:
    """Open the shards that an index names, and check that they hold what it says, no more and no less.

    Raises MalformedCheckpoint listing all absent shards, or all tensors that are elsewhere than the index says.
    """
    # A shard may be a symbolic link to anywhere: the Hub's cache keeps its files apart and links to them.
    paths = {shard: files.path(shard) for shard in index.shards}
    absent = [shard for shard, path in paths.items() if not os.path.exists(path)]
    if absent:
        raise MalformedCheckpoint(
            f"{shown_path(index.path)} names {len(paths)} shards; {len(absent)} are absent: {', '.join(absent)}.",
            hint="The download or copy is not complete; get the absent files from where the others came from.",
        )
    shards = {shard: open_shard(path) for shard, path in paths.items()}
    _compare(index, shards)
    return join_shards(location, list(shards.values()), metadata=index.metadata, side_files=files)


def _compare(index: ShardIndex, shards: Mapping[str, Checkpoint]) -> None:
    missing = [
        f"{quoted(name)} (in {shard}, says the index)"
        for name, shard in index.weight_map.items()
        if name not in shards[shard] and name not in shards[shard].unsupported
    ]
    unnamed = [
        f"{quoted(name)} (in {shard})"
        for shard, checkpoint in shards.items()
        for name in checkpoint
        if index.weight_map.get(name) != shard
    ]
    if not missing and not unnamed:
        return
    lines = [f"{shown_path(index.path)} does not agree with its shards."]
    if missing:
        lines.append(f"Tensors that their shard does not hold: {listed(missing)}.")
    if unnamed:
        lines.append(f"Tensors that a shard holds, but the index does not place there: {listed(unnamed)}.")
    raise MalformedCheckpoint(
        "\n".join(lines),
        hint="The index and the shards come from different saves; get all of them again from one source.",
    )


def _object(path: Path, values: Mapping[str, Any], field: str) -> Mapping[str, Any]:
    if field not in values:
        raise MalformedCheckpoint(
            f"{shown_path(path)}: field '{field}' is missing; an index maps tensors to files with it."
        )
    value = values[field]
    if isinstance(value, RepeatedKey):
        raise MalformedCheckpoint(f"{shown_path(path)}: field '{field}' holds the key {quoted(value.key)} twice.")
    if not isinstance(value, dict):
        raise MalformedCheckpoint(f"{shown_path(path)}: field '{field}': expected an object, found {found(value)}.")
    return value
