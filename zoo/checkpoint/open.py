"""Opens any checkpoint by its headers: a file of a registered format, or a directory as the Hub lays it out."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from zoo.checkpoint.describe import listed, quoted, shown_path
from zoo.checkpoint.directory import ModelDirectory
from zoo.checkpoint.index import INDEX_SUFFIX, open_index, read_index
from zoo.checkpoint.records import Checkpoint
from zoo.checkpoint.regular_file import open_regular, read_up_to
from zoo.checkpoint.shards import join_shards
from zoo.errors import AmbiguousName, CheckpointError, UnknownFormat
from zoo.registry import Entry, registry, resolve_object
from zoo.spec import FormatSpec

__all__ = ["open_checkpoint"]

_SUFFIX = ".safetensors"
_SINGLE = "model.safetensors"
_INDEX = _SINGLE + INDEX_SUFFIX
_TORCH_SINGLE = "pytorch_model.bin"
_NUMBERED = re.compile(r"(?P<stem>.+)-(?P<number>[0-9]{5})-of-(?P<count>[0-9]{5})(?P<suffix>\.[a-z]+)")

_BESIDE_MODELS = re.compile(r"(training_args|optimizer|scheduler|scaler|rng_state|random_states)[\w.-]*")
"""What trainers write beside the weights, in the same formats."""


def open_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """Open a checkpoint and read its headers, nothing else.

    A file is of the registered format whose magic it begins with, or else whose suffix it has; an `*.index.json` opens
    the shards that it names. In a directory the first of these is the checkpoint, whatever else lies there:

    1. `model.safetensors`, then `model.safetensors.index.json`: the order in which transformers looks;
    2. the only other `*.safetensors.index.json`;
    3. all the `*.safetensors` together, which must hold distinct tensors and, if numbered, be complete;
    4. `pytorch_model.bin`, then the only index of another format (`pytorch_model.bin.index.json`);
    5. the only file with the suffix of another format, or the only complete set of numbered ones. What trainers write
       beside the weights (optimizer.pt, training_args.bin, ...) does not count.

    Raises a child of CheckpointError: UnknownFormat when nothing here is a checkpoint, MalformedCheckpoint for what
    breaks its format's specification, itself when the path leads to nothing readable.
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
    """The format of a file: by its first bytes, where the longest magic is the surest, else by its suffix.

    A name that ends in .safetensors is a promise, which programs and people rely on: such a file is nothing else.
    """
    formats = registry().formats.entries()
    longest = max((entry.spec.magic_offset + len(magic) for entry in formats for magic in entry.spec.magics), default=0)
    with open_regular(path) as (descriptor, _):
        start = read_up_to(descriptor, longest, 0, path)
    by_magic = {entry.full_name: _fitting_magic(start, entry.spec) for entry in formats}
    surest = 0 if path.name.lower().endswith(_SUFFIX) else max(by_magic.values(), default=0)
    if surest:
        fitting = [entry for entry in formats if by_magic[entry.full_name] == surest]
    else:
        fitting = [entry for entry in formats if _has_suffix(path.name, entry)]
    fitting = [entry for entry in fitting if not entry.spec.fallback] or fitting
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        claims = ", ".join(f"{entry.full_name} {entry.version}" for entry in fitting)
        raise AmbiguousName(
            f"{shown_path(path)}: several formats claim this file: {claims}.",
            hint="Uninstall one of these plugins, or leave it out of ZOO_PLUGINS.",
        )
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
    index = _choose_index(directory, paths, _INDEX, lambda name: name.endswith(_SUFFIX + INDEX_SUFFIX))
    if index is not None:
        return open_index(directory, read_index(paths[index]), files, _open_file)
    loose = [name for name in paths if name.endswith(_SUFFIX)]
    if loose:
        _check_numbers(directory, loose)
        return _join(directory, [paths[name] for name in loose], files)
    return _open_foreign(directory, paths, files)


def _open_foreign(directory: Path, paths: Mapping[str, Path], files: ModelDirectory) -> Checkpoint:
    """The checkpoint of a directory without safetensors."""
    if _TORCH_SINGLE in paths:
        return _relocated(_open_file(paths[_TORCH_SINGLE]), directory, files)
    formats = registry().formats.entries()
    foreign = [
        name
        for name in paths
        if any(_has_suffix(name, entry) for entry in formats) and not _BESIDE_MODELS.fullmatch(name)
    ]
    indexed = tuple(suffix + INDEX_SUFFIX for entry in formats for suffix in entry.spec.suffixes)
    index = _choose_index(directory, paths, _TORCH_SINGLE + INDEX_SUFFIX, lambda name: name.endswith(indexed))
    if index is not None:
        return open_index(directory, read_index(paths[index]), files, _open_file)
    sets = {(match["stem"], match["suffix"]) if (match := _NUMBERED.fullmatch(name)) else name for name in foreign}
    if len(sets) == 1:
        opened = _open_file(paths[foreign[0]])
        if len(opened.files) > 1 or not isinstance(opened.side_files, ModelDirectory):
            return opened  # the format knows its own parts, or brings its own side files
        _check_numbers(directory, foreign)
        if len(foreign) == 1:
            return _relocated(opened, directory, files)
        return _join(directory, [paths[name] for name in foreign], files)
    if foreign:
        raise CheckpointError(
            f"{shown_path(directory)} holds several checkpoints: {listed(map(quoted, foreign))}.",
            hint="Pass the path of the one that you mean.",
        )
    raise UnknownFormat(
        f"{shown_path(directory)} holds no checkpoint: neither {_SINGLE}, nor an index (*{_SUFFIX}{INDEX_SUFFIX}), "
        f"nor a file of a known format ({_known_formats(formats)}). It holds {_contents(paths)}."
    )


def _join(directory: Path, paths: Iterable[Path], files: ModelDirectory) -> Checkpoint:
    return join_shards(directory, [_open_file(path) for path in paths], metadata={}, side_files=files)


def _relocated(checkpoint: Checkpoint, directory: Path, files: ModelDirectory) -> Checkpoint:
    """The checkpoint of a directory's only file as that of the directory."""
    return checkpoint.replace(location=directory, side_files=files)


def _choose_index(directory: Path, names: Iterable[str], standard: str, is_index: Callable[[str], bool]) -> str | None:
    indexes = [name for name in names if is_index(name)]
    if standard in indexes:
        return standard
    if len(indexes) > 1:
        raise CheckpointError(
            f"{shown_path(directory)} holds several indexes and no {standard}: {listed(map(quoted, indexes))}.",
            hint="Pass the path of the one that you mean.",
        )
    return indexes[0] if indexes else None


def _check_numbers(directory: Path, names: Iterable[str]) -> None:
    """Shards that are numbered `-00001-of-00003` are all there; without an index nothing else would tell."""
    found: dict[tuple[str, str], dict[int, set[int]]] = defaultdict(lambda: defaultdict(set))
    for name in names:
        match = _NUMBERED.fullmatch(name)
        if match is not None:
            found[match["stem"], match["suffix"]][int(match["count"])].add(int(match["number"]))
    for (stem, suffix), counts in found.items():
        if len(counts) > 1:
            raise CheckpointError(
                f"{shown_path(directory)}: the shards of {quoted(stem)} are numbered for several totals: "
                f"{', '.join(f'of {count}' for count in sorted(counts))}; they are from different saves.",
                hint="Move away those that don't belong, or add the index that names the right ones.",
            )
        for count, present in counts.items():
            expected = set(range(1, count + 1))
            absent, beyond = (
                [f"{stem}-{number:05d}-of-{count:05d}{suffix}" for number in sorted(numbers)]
                for numbers in (expected - present, present - expected)
            )
            if absent:
                raise CheckpointError(
                    f"{shown_path(directory)}: of {count} shards {len(absent)} are absent: {listed(absent)}.",
                    hint="The download or copy is not complete; get the absent files from where the others came from.",
                )
            if beyond:
                raise CheckpointError(f"{shown_path(directory)}: {listed(beyond)} can't be a shard: there are {count}.")


def _fitting_magic(start: bytes, spec: FormatSpec) -> int:
    """The length of the longest of the format's magics that stands in the first bytes; 0 for none."""
    return max((len(magic) for magic in spec.magics if start.startswith(magic, spec.magic_offset)), default=0)


def _has_suffix(name: str, entry: Entry[FormatSpec]) -> bool:
    return bool(entry.spec.suffixes) and name.lower().endswith(entry.spec.suffixes)


def _known_formats(formats: Iterable[Entry[FormatSpec]]) -> str:
    return (
        ", ".join(f"{entry.spec.name} ({', '.join(entry.spec.suffixes) or 'by content'})" for entry in formats)
        or "none"
    )


def _contents(names: Iterable[str]) -> str:
    return listed(map(quoted, names)) or "no files"
