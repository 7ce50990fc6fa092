"""The record of a save whose files are complete, but perhaps not all under their final names yet.

A save first writes everything below WORK_FOLDER/staged, then renames that folder to `committed`: from that moment the
new files are the model, whatever becomes of the process. Then it moves them to their final names. Whoever finds a
committed folder finds a save that died while moving; readers see through it (`zoo.checkpoint.directory`), and the next
save into the directory finishes it (`zoo.checkpoint.publish`).
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.checkpoint.describe import found, quoted, shown_path
from zoo.checkpoint.regular_file import open_regular, read_up_to
from zoo.checkpoint.rules import MAX_HEADER_BYTES, file_name_problem
from zoo.checkpoint.strict_json import parse_object
from zoo.errors import MalformedCheckpoint

__all__ = ["COMMITTED", "FILES_FOLDER", "PLAN_FILE", "STAGED", "WORK_FOLDER", "Publication", "read_publication"]

WORK_FOLDER = ".zoo-save"
"""The folder inside the target directory in which a save works: on one file system with it, for the renames."""

STAGED = "staged"
COMMITTED = "committed"
PLAN_FILE = "plan.json"
FILES_FOLDER = "files"


@dataclass(frozen=True, slots=True)
class Publication:
    """What a committed save does to the directory. files: in the order of their renames. removed: what is to go."""

    files: tuple[str, ...]
    removed: tuple[str, ...]

    def to_json(self) -> bytes:
        """The contents of PLAN_FILE."""
        return json.dumps({"files": self.files, "removed": self.removed}, indent=2).encode()


def read_publication(directory: Path) -> Publication | None:
    """The committed save that has not been finished in the directory, or None, as nearly always.

    Raises MalformedCheckpoint when its record is damaged: then no one can say which files belong together; and when
    it is not in the folder itself but behind a symbolic link, which no save makes.
    """
    path = directory / WORK_FOLDER / COMMITTED / PLAN_FILE
    if not os.path.exists(path):
        return None
    for part in (path.parent.parent, path.parent, path, path.with_name(FILES_FOLDER)):
        if os.path.islink(part):
            raise MalformedCheckpoint(
                f"{shown_path(part)} is a symbolic link; what an interrupted save left is none.",
                hint=f"If the directory is complete without that save, remove {shown_path(directory / WORK_FOLDER)}.",
            )
    with open_regular(path) as (descriptor, size):
        content = read_up_to(descriptor, min(size, MAX_HEADER_BYTES), 0, path)
    values = parse_object(content, place=shown_path(path))
    publication = Publication(_names(path, values, "files"), _names(path, values, "removed"))
    _refuse_later_changes(directory, publication, os.stat(path).st_mtime_ns)
    return publication


def _refuse_later_changes(directory: Path, publication: Publication, committed_at: int) -> None:
    """Files that another program wrote after the save was interrupted must not be hidden by it."""
    # All that the save itself moves into place was written before its record was.
    for name in publication.files:
        path = directory / name
        if os.path.exists(path) and os.stat(path).st_mtime_ns > committed_at:
            raise MalformedCheckpoint(
                f"{shown_path(directory)}: a save was interrupted while it moved its files into place, and since then "
                f"something else has written '{name}'. Which files belong together can't be told.",
                hint=f"If the directory is complete without that save, remove {shown_path(directory / WORK_FOLDER)}.",
            )


def _names(path: Path, values: dict[str, Any], field: str) -> tuple[str, ...]:
    names = values.get(field)
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise MalformedCheckpoint(
            f"{shown_path(path)}: field '{field}': expected an array of strings, found {found(names)}."
        )
    for name in names:
        problem = file_name_problem(name)
        if problem is not None:
            raise MalformedCheckpoint(
                f"{shown_path(path)}: field '{field}': {quoted(name)} is no file name: {problem}."
            )
    return tuple(names)
