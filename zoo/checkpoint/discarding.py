"""What becomes of a save that ends with an error."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from zoo.checkpoint.describe import shown_path
from zoo.checkpoint.journal import Journal
from zoo.checkpoint.lock import WorkFolder
from zoo.errors import SaveError

__all__ = ["discard", "remove_made"]


def discard(work: WorkFolder, journal: Journal | None, made: Iterable[Path], error: BaseException) -> None:
    """Undo what was done, and say so in the error if that fails; the next save then does it.

    What can be continued stays. made: folders that were made for the save, from the deepest up.
    """
    if journal is not None and journal.done:
        work.abandon()
        return
    try:
        work.release()
    except SaveError as failure:
        error.add_note(f"What the interrupted save had written could not be removed: {failure}")
    else:
        remove_made(made, error)


def remove_made(made: Iterable[Path], error: BaseException) -> None:
    """Remove the folders that were made for a save, and say so in its error if that fails."""
    try:
        for path in made:
            os.rmdir(path)
    except OSError as failure:
        error.add_note(f"{shown_path(path)}, made for this save, could not be removed: {failure.strerror}")
