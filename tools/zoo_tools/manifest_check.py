"""The files of a checkpoint against the manifest that was written with them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zoo.checkpoint.describe import quoted, shown_path
from zoo.checkpoint.digest import file_digest
from zoo.checkpoint.regular_file import open_regular, read_up_to
from zoo.checkpoint.rules import MAX_HEADER_BYTES, file_name_problem
from zoo.checkpoint.strict_json import parse_object
from zoo.errors import CheckpointError
from zoo_tools.manifest import FORMAT

__all__ = ["check_manifest", "is_manifest"]


def is_manifest(path: Path) -> bool:
    """Whether a manifest of ours is there; other programs have files of that name, too."""
    if not os.path.isfile(path):
        return False
    try:
        return _values(path).get("format") == FORMAT
    except CheckpointError:
        return False


def check_manifest(path: Path) -> list[str]:
    """What differs from a manifest, in words; each file that it names is read."""
    files = _values(path).get("files")
    if not isinstance(files, Mapping):
        return [f"{shown_path(path)} names no files."]
    problems = []
    for name, entry in files.items():
        if file_name_problem(name) is not None or not isinstance(entry, Mapping):
            problems.append(f"{shown_path(path)}: {quoted(name)} names no file inside the directory.")
            continue
        file = path.parent / name
        if not os.path.isfile(file):
            problems.append(f"{shown_path(file)} is in the manifest, but not there.")
        elif os.path.getsize(file) != entry.get("size"):
            problems.append(
                f"{shown_path(file)} has {os.path.getsize(file)} bytes; the manifest says {entry.get('size')}."
            )
        elif file_digest(file) != entry.get("sha256"):
            problems.append(f"{shown_path(file)} is not what it was: its sha256 differs from the manifest's.")
    return problems


def _values(path: Path) -> Mapping[str, Any]:
    with open_regular(path) as (descriptor, size):
        return parse_object(read_up_to(descriptor, min(size, MAX_HEADER_BYTES), 0, path), place=shown_path(path))
