"""A directory of many checkpoints, each migrated by itself."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from zoo.checkpoint.describe import shown_path
from zoo.checkpoint.index import INDEX_SUFFIX
from zoo.checkpoint.publication import WORK_FOLDER
from zoo.errors import CheckpointError, SaveError, ZooError
from zoo.registry import registry
from zoo_tools.migrate_report import TreeItem, TreeReport
from zoo_tools.migration import migrate

__all__ = ["migrate_tree"]

_SUFFIX = ".safetensors"
_MODEL_FILES = ("model.safetensors", "pytorch_model.bin")
_TORCH_SUFFIXES = (".bin", ".pt", ".pth", ".ckpt", ".pth.tar")


def migrate_tree(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    progress: Callable[[int, int], None] | None = None,
    **options: Any,
) -> TreeReport:
    """Migrate every checkpoint below a directory to the same place below another; options as those of `migrate`.

    A folder that holds a model as the Hub lays it out (`config.json` beside weights, `model.safetensors`,
    `pytorch_model.bin`, an index) is migrated as a whole, with its other files; elsewhere each checkpoint file becomes
    a safetensors file of its name. What fails is reported and does not stop the others. Symbolic links to folders are
    not followed. progress: told of each checkpoint's bytes anew.

    Raises CheckpointError when there is no checkpoint at all, SaveError when the target is the source.
    """
    source, target = Path(source), Path(target)
    if not os.path.isdir(source):
        raise CheckpointError(f"{shown_path(source)} is no directory; a directory of checkpoints was expected.")
    if os.path.realpath(source) == os.path.realpath(target):
        raise SaveError(f"{shown_path(target)} is the source itself; the source is never written to.")
    found = list(_checkpoints(source, os.path.realpath(target)))
    if not found:
        raise CheckpointError(f"{shown_path(source)} holds no checkpoint, and neither do the folders in it.")
    items = []
    for path, place in zip(found, _places(found, source, target), strict=True):
        try:
            report = migrate(path, place, progress=progress, **options)
        except ZooError as error:
            items.append(TreeItem(path, place, error=str(error)))
        except OSError as error:
            items.append(TreeItem(path, place, error=f"{shown_path(path)}: {error.strerror or error}"))
        else:
            items.append(TreeItem(path, place, report=report))
    return TreeReport(source, target, tuple(items))


def _checkpoints(directory: Path, target: str) -> Iterator[Path]:
    """Model folders and single files, sorted. What is below a model folder goes with it."""
    suffixes = {suffix for entry in registry().formats.entries() for suffix in entry.spec.suffixes}
    endings = (*suffixes, *_TORCH_SUFFIXES)
    for folder, folders, names in os.walk(directory):
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".")
            and not name.endswith(WORK_FOLDER)
            and os.path.realpath(os.path.join(folder, name)) != target
        )
        if _is_model(names, endings):
            folders.clear()
            yield Path(folder)
            continue
        for name in sorted(names):
            if name.lower().endswith(endings):
                yield Path(folder, name)


def _is_model(names: list[str], endings: tuple[str, ...]) -> bool:
    if any(name in _MODEL_FILES or name.endswith(INDEX_SUFFIX) for name in names):
        return True
    return "config.json" in names and any(name.lower().endswith(endings) for name in names)


def _places(found: list[Path], source: Path, target: Path) -> list[Path]:
    """Where each goes; files that would meet under one name keep their endings in it."""
    places = [
        target / (path.relative_to(source) if os.path.isdir(path) else _renamed(path.relative_to(source)))
        for path in found
    ]
    return [
        place if places.count(place) == 1 else target / f"{path.relative_to(source)}{_SUFFIX}"
        for path, place in zip(found, places, strict=True)
    ]


def _renamed(path: Path) -> Path:
    for ending in (".pth.tar", path.suffix):
        if ending and path.name.lower().endswith(ending.lower()) and path.name != ending:
            return path.with_name(path.name[: -len(ending)] + _SUFFIX)
    return path.with_name(path.name + _SUFFIX)
