"""Symbolic links on the way to a file. A save that followed one would change and remove files elsewhere."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

__all__ = ["folders_of", "link_on_the_way"]


def folders_of(name: str, root: Path) -> list[Path]:
    """The folders below the root that a file of this name is in, from within."""
    return [root.joinpath(*PurePosixPath(name).parts[:depth]) for depth in range(name.count("/"), 0, -1)]


def link_on_the_way(name: str, root: Path) -> Path | None:
    """The outermost of these folders that is a symbolic link, or None."""
    return next((folder for folder in reversed(folders_of(name, root)) if os.path.islink(folder)), None)
