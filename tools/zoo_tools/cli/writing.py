"""Files that commands write beside what they print."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from zoo.checkpoint.describe import shown_path
from zoo.errors import SaveError

__all__ = ["write_page"]


def write_page(path: str, text: str, *, but: Iterable[Path]) -> None:
    """Write a page of HTML in UTF-8, over one that is there. but: files that must not be written over.

    Raises SaveError for one of these, and when the system refuses.
    """
    try:
        if os.path.exists(path) and any(os.path.samefile(path, file) for file in but):
            raise SaveError(f"{shown_path(Path(path))} is the checkpoint itself; a page would destroy it.")
        Path(path).write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise SaveError(f"{shown_path(Path(path))} can't be written: {error.strerror or error}.") from error
