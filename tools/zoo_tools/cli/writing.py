"""Files that commands write beside what they print."""

from __future__ import annotations

from pathlib import Path

from zoo.checkpoint.describe import shown_path
from zoo.errors import SaveError

__all__ = ["write_page"]


def write_page(path: str, text: str) -> None:
    """Write a page of HTML in UTF-8. Raises SaveError when the system refuses."""
    try:
        Path(path).write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise SaveError(f"{shown_path(Path(path))} can't be written: {error.strerror or error}.") from error
