"""Copies ranges between files inside the kernel where it can, so that the bytes never pass through this process."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from zoo.checkpoint.describe import shown_path
from zoo.checkpoint.regular_file import read_at
from zoo.errors import MalformedCheckpoint

__all__ = ["STEP_BYTES", "copy_range", "ends_early"]

STEP_BYTES = 2**24
"""The most bytes copied by one call, so that a progress display moves and an interrupt is heard."""

_BUFFER_BYTES = 2**20

# What says "not between these files" or "not on this system" rather than "this read or write failed".
_UNABLE = {
    errno.EBADF,
    errno.EINVAL,
    errno.ENOSYS,
    errno.ENOTSOCK,
    errno.EOPNOTSUPP,
    errno.EPERM,
    errno.EXDEV,
    getattr(errno, "ENOTSUP", errno.EOPNOTSUPP),
}

_Copy: TypeAlias = Callable[[int, int, int, int, Path], int]
"""(source, target, offset, length, path of the source) -> how many bytes were appended to the target; 0 when the source
is at its end.
"""


def copy_range(
    source: int, target: int, offset: int, length: int, path: Path, progress: Callable[[int], None] | None = None
) -> None:
    """Append `length` bytes from `offset` of the descriptor `source` at the position of the descriptor `target`.

    path: of the source, for messages. progress: told how many bytes each step copied.
    Raises MalformedCheckpoint when the source ends before, OSError when the system refuses to write.
    """
    ways = list(_WAYS)
    while length:
        step = min(length, STEP_BYTES)
        try:
            copied = ways[0](source, target, offset, step, path)
        except OSError as error:
            if error.errno not in _UNABLE or len(ways) == 1:
                raise
            copied = 0
        if copied == 0 and len(ways) > 1:
            # Some file systems say that nothing is left when they mean that they can't; only a plain read is believed.
            del ways[0]
            continue
        if copied == 0:
            raise ends_early(path, offset, length)
        offset += copied
        length -= copied
        if progress is not None:
            progress(copied)


def ends_early(path: Path, offset: int, length: int) -> MalformedCheckpoint:
    """What to raise when a source has become shorter than its header said."""
    return MalformedCheckpoint(
        f"{shown_path(path)}: bytes {offset}..{offset + length} were to be copied, but the file now ends before; "
        "it was cut short after its header was read."
    )


def _copy_file_range(source: int, target: int, offset: int, length: int, path: Path) -> int:
    return os.copy_file_range(source, target, length, offset)  # type: ignore[attr-defined, unused-ignore]


def _sendfile(source: int, target: int, offset: int, length: int, path: Path) -> int:
    return os.sendfile(target, source, offset, length)


def _read_and_write(source: int, target: int, offset: int, length: int, path: Path) -> int:
    content = memoryview(read_at(source, min(length, _BUFFER_BYTES), offset, path))
    written = 0
    while written < len(content):
        count = os.write(target, content[written:])
        if count == 0:
            raise OSError(errno.EIO, "the system took no byte")
        written += count
    return written


_WAYS: tuple[_Copy, ...] = (
    *([_copy_file_range] if hasattr(os, "copy_file_range") else []),
    # Elsewhere than on Linux it sends to sockets only.
    *([_sendfile] if os.name == "posix" and os.uname().sysname == "Linux" else []),
    _read_and_write,
)
