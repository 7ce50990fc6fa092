"""A model directory as its last completed save left it."""

from __future__ import annotations

import os
from pathlib import Path

from zoo.checkpoint.describe import shown_path
from zoo.checkpoint.files import DirectoryFiles, read_regular
from zoo.checkpoint.publication import COMMITTED, FILES_FOLDER, WORK_FOLDER, read_publication
from zoo.errors import CheckpointError

__all__ = ["ModelDirectory"]


class ModelDirectory(DirectoryFiles):
    """The files directly inside a directory, with those that an interrupted save had no time to move into place."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self._unfinished = read_publication(directory)

    def path(self, name: str) -> Path:
        """Where the file of that name is, or would be."""
        if self._unfinished is not None and name in self._unfinished.files:
            staged = self.directory / WORK_FOLDER / COMMITTED / FILES_FOLDER / name
            if os.path.exists(staged):
                return staged
        return self.directory / name

    def paths(self) -> dict[str, Path]:
        """All that is no directory, by name, sorted. Dangling links are there too, so that errors can name them."""
        try:
            with os.scandir(self.directory) as entries:
                names = {entry.name for entry in entries if not os.path.isdir(entry)}
        except OSError as error:
            raise CheckpointError(f"{shown_path(self.directory)} can't be listed: {error.strerror}.") from error
        if self._unfinished is not None:
            names.update(self._unfinished.files)
            names.difference_update(self._unfinished.removed)
        return {name: self.path(name) for name in sorted(names)}

    def names(self) -> tuple[str, ...]:
        return tuple(name for name, path in self.paths().items() if os.path.isfile(path))

    def read(self, name: str) -> bytes | None:
        if self._unfinished is not None and name in self._unfinished.removed:
            return None
        return read_regular(self.path(name))
