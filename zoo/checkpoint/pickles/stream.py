"""A part of a file, read through a window: a pickle may hold gigabytes of arrays, which are skipped."""

from __future__ import annotations

from pathlib import Path

from zoo.checkpoint.regular_file import read_up_to

__all__ = ["Stream"]

_WINDOW = 2**20


class Stream:
    """Bytes begin..end of an open file. label: what the part is called in messages."""

    __slots__ = ("begin", "descriptor", "end", "label", "path")

    def __init__(self, descriptor: int, path: Path, begin: int, end: int, label: str = "") -> None:
        self.descriptor = descriptor
        self.path = path
        self.begin = begin
        self.end = end
        self.label = label

    def window(self, offset: int, at_least: int = 0) -> bytes:
        """Bytes from `offset` of the file: a window full, or `at_least` if that is more, or what there is."""
        return read_up_to(self.descriptor, max(0, min(max(_WINDOW, at_least), self.end - offset)), offset, self.path)

    def read(self, offset: int, length: int) -> bytes:
        """Exactly these bytes, or fewer because the part ends."""
        return read_up_to(self.descriptor, max(0, min(length, self.end - offset)), offset, self.path)
