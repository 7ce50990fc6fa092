"""Opens any checkpoint by its headers: a file of a registered format, or a directory as the Hub lays it out."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NoReturn

from zoo.checkpoint.describe import listed, quoted, shown_path
from zoo.checkpoint.directory import ModelDirectory
from zoo.checkpoint.index import INDEX_SUFFIX, open_index, read_index
from zoo.checkpoint.records import Checkpoint
from zoo.checkpoint.regular_file import open_regular, read_up_to
from zoo.checkpoint.shards import join_shards
from zoo.errors import AmbiguousName, CheckpointError, UnknownFormat, UnsupportedFeature
from zoo.registry import Entry, registry, resolve_object
from zoo.spec import FormatSpec

__all__ = ["open_checkpoint"]

_SUFFIX = ".safetensors"
_SINGLE = "model.safetensors"
_INDEX = _SINGLE + INDEX_SUFFIX
_NUMBERED = re.compile(r"(?P<stem>.+)-(?P<number>[0-9]{5})-of-(?P<count>[0-9]{5})\.safetensors")

_PICKLE_SUFFIXES = (".bin", ".pt", ".pth", ".ckpt")
_PICKLE_STARTS = (b"\x80", b"PK\x03\x04")


def open_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """Open a checkpoint and read its headers, nothing else.

    A file is of the registered format whose magic it begins with, or else whose suffix it has; an `*.index.json` opens
    the shards that it names. In a directory the first of these is the checkpoint, whatever else lies there:

    1. `model.safetensors`, then `model.safetensors.index.json`: the order in which transformers looks;
    2. the only other `*.safetensors.index.json`;
    3. all the `*.safetensors` together, which must hold distinct tensors and, if numbered, be complete;
    4. the only file with the suffix of another registered format.

    Raises a child of CheckpointError: UnknownFormat when nothing here is a checkpoint, UnsupportedFeature for pickles,
    MalformedCheckpoint for what breaks its format's specification, itself when the path leads to nothing readable.
    """
    path = Path(path)
    if os.path.isdir(path):
        return _open_directory(path)
    if path.name.endswith(INDEX_SUFFIX):
        return open_index(path, read_index(path), ModelDirectory(path.parent), _open_file)
    return _open_file(path)


def _open_file(path: Path) -> Checkpoint:
    opener: Callable[[Path], Checkpoint] = resolve_object(_recognise(path).spec.open)
    return opener(path)


def _recognise(path: Path) -> Entry[FormatSpec]:
    """The format of a file: by its first bytes, which can't be wrong, else by its suffix."""
    formats = registry().formats.entries()
    longest = max((entry.spec.magic_offset + len(magic) for entry in formats for magic in entry.spec.magics), default=0)
    with open_regular(path) as (descriptor, _):
        start = read_up_to(descriptor, longest, 0, path)
    by_magic = [entry for entry in formats if start[entry.spec.magic_offset :].startswith(entry.spec.magics)]
    fitting = by_magic or [entry for entry in formats if _has_suffix(path.name, entry)]
    fitting = [entry for entry in fitting if not entry.spec.fallback] or fitting
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        claims = ", ".join(f"{entry.full_name} {entry.version}" for entry in fitting)
        raise AmbiguousName(
            f"{shown_path(path)}: several formats claim this file: {claims}.",
            hint="Uninstall one of these plugins, or leave it out of ZOO_PLUGINS.",
        )
    if path.name.lower().endswith(_PICKLE_SUFFIXES) or start.startswith(_PICKLE_STARTS):
        _refuse_pickles(f"{shown_path(path)} is a Python pickle")
    raise UnknownFormat(
        f"{shown_path(path)}: no registered format recognises this file, which begins with {start!r}. "
        f"Known are {_known_formats(formats)}.",
        hint="Another format may come with a plugin that is not installed, or that failed to load: see `zoo plugins`.",
    )


def _open_directory(directory: Path) -> Checkpoint:
    files = ModelDirectory(directory)
    paths = files.paths()
    if _SINGLE in paths:
        return _relocated(_open_file(paths[_SINGLE]), directory, files)
    index = _choose_index(directory, paths)
    if index is not None:
        return open_index(directory, read_index(paths[index]), files, _open_file)
    loose = [name for name in paths if name.endswith(_SUFFIX)]
    if loose:
        _check_numbers(directory, loose)
        shards = [_open_file(paths[name]) for name in loose]
        return join_shards(directory, shards, metadata={}, side_files=files)
    formats = registry().formats.entries()
    foreign = [name for name in paths if any(_has_suffix(name, entry) for entry in formats)]
    if len(foreign) == 1:
        return _open_file(paths[foreign[0]])
    if foreign:
        raise CheckpointError(
            f"{shown_path(directory)} holds several checkpoints: {listed(map(quoted, foreign))}.",
            hint="Pass the path of the one that you mean.",
        )
    pickles = [name for name in paths if name.lower().endswith(_PICKLE_SUFFIXES)]
    if pickles:
        _refuse_pickles(
            f"{shown_path(directory)} holds its tensors only in Python pickles: {listed(map(quoted, pickles))}"
        )
    raise UnknownFormat(
        f"{shown_path(directory)} holds no checkpoint: neither {_SINGLE}, nor an index (*{_SUFFIX}{INDEX_SUFFIX}), "
        f"nor a file of a known format ({_known_formats(formats)}). It holds {_contents(paths)}."
    )


def _relocated(checkpoint: Checkpoint, directory: Path, files: ModelDirectory) -> Checkpoint:
    """The checkpoint of a directory's only file as that of the directory."""
    return Checkpoint(
        format=checkpoint.format,
        location=directory,
        files=checkpoint.files,
        records=checkpoint,
        metadata=checkpoint.metadata,
        side_files=files,
    )


def _choose_index(directory: Path, names: Iterable[str]) -> str | None:
    indexes = [name for name in names if name.endswith(_SUFFIX + INDEX_SUFFIX)]
    if _INDEX in indexes:
        return _INDEX
    if len(indexes) > 1:
        raise CheckpointError(
            f"{shown_path(directory)} holds several indexes and no {_INDEX}: {listed(map(quoted, indexes))}.",
            hint="Pass the path of the one that you mean.",
        )
    return indexes[0] if indexes else None


def _check_numbers(directory: Path, names: Iterable[str]) -> None:
    """Shards that are numbered `-00001-of-00003` are all there; without an index nothing else would tell."""
    found: dict[str, dict[int, set[int]]] = defaultdict(lambda: defaultdict(set))
    for name in names:
        match = _NUMBERED.fullmatch(name)
        if match is not None:
            found[match["stem"]][int(match["count"])].add(int(match["number"]))
    for stem, counts in found.items():
        if len(counts) > 1:
            raise CheckpointError(
                f"{shown_path(directory)}: the shards of {quoted(stem)} are numbered for several totals: "
                f"{', '.join(f'of {count}' for count in sorted(counts))}; they are from different saves.",
                hint="Move away those that don't belong, or add the index that names the right ones.",
            )
        for count, present in counts.items():
            expected = set(range(1, count + 1))
            absent, beyond = (
                [f"{stem}-{number:05d}-of-{count:05d}{_SUFFIX}" for number in sorted(numbers)]
                for numbers in (expected - present, present - expected)
            )
            if absent:
                raise CheckpointError(
                    f"{shown_path(directory)}: of {count} shards {len(absent)} are absent: {listed(absent)}.",
                    hint="The download or copy is not complete; get the absent files from where the others came from.",
                )
            if beyond:
                raise CheckpointError(f"{shown_path(directory)}: {listed(beyond)} can't be a shard: there are {count}.")


def _refuse_pickles(what: str) -> NoReturn:
    raise UnsupportedFeature(
        f"{what}. Opening a pickle runs the code in it, so zoo does not unpickle.",
        hint="Where you trust its origin, convert it once: "
        "`safetensors.torch.save_file(torch.load(PATH, weights_only=True), 'model.safetensors')`.",
    )


def _has_suffix(name: str, entry: Entry[FormatSpec]) -> bool:
    return bool(entry.spec.suffixes) and name.lower().endswith(entry.spec.suffixes)


def _known_formats(formats: Iterable[Entry[FormatSpec]]) -> str:
    return (
        ", ".join(f"{entry.spec.name} ({', '.join(entry.spec.suffixes) or 'by content'})" for entry in formats)
        or "none"
    )


def _contents(names: Iterable[str]) -> str:
    return listed(map(quoted, names)) or "no files"
