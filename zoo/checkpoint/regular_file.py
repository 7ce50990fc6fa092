"""Opening files that strangers made: only regular ones, without blocking, and with errors that zoo's callers expect."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from zoo.checkpoint.describe import shown_path
from zoo.errors import CheckpointError

__all__ = ["open_regular", "read_at", "read_up_to"]

# O_NONBLOCK: a pipe that is put in a file's place after the check must not hang the reader either.
_FLAGS = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


@contextmanager
def open_regular(path: Path) -> Iterator[tuple[int, int]]:
    """A descriptor of a regular file, open for reading, and its size.

    Raises CheckpointError when there is no such file, it can't be read, or it is a directory, pipe, socket or device.
    """
    try:
        # Looking comes before opening: to open a device is already to act on it.
        _refuse_irregular(path, os.stat(path))
        descriptor = os.open(path, _FLAGS)
    except FileNotFoundError as error:
        raise CheckpointError(_missing(path)) from error
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{shown_path(path)} can't be opened: {_reason(error)}.") from error
    try:
        status = os.fstat(descriptor)
        _refuse_irregular(path, status)
        yield descriptor, status.st_size
    finally:
        os.close(descriptor)


def read_at(descriptor: int, length: int, offset: int, path: Path) -> bytes:
    """Up to `length` bytes from `offset`; fewer only at the end of the file or where the system reads in pieces."""
    try:
        if hasattr(os, "pread"):
            return os.pread(descriptor, length, offset)
        os.lseek(descriptor, offset, os.SEEK_SET)
        return os.read(descriptor, length)
    except OSError as error:
        raise CheckpointError(
            f"{shown_path(path)} can't be read at bytes {offset}..{offset + length}: {_reason(error)}."
        ) from error


def read_up_to(descriptor: int, length: int, offset: int, path: Path) -> bytes:
    """`length` bytes from `offset`, or fewer only because the file ends."""
    parts = []
    while length:
        part = read_at(descriptor, length, offset, path)
        if not part:
            break
        parts.append(part)
        length -= len(part)
        offset += len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _refuse_irregular(path: Path, status: os.stat_result) -> None:
    if stat.S_ISREG(status.st_mode):
        return
    kinds = {stat.S_IFDIR: "directory", stat.S_IFIFO: "named pipe", stat.S_IFSOCK: "socket"}
    kind = kinds.get(stat.S_IFMT(status.st_mode), "device")
    raise CheckpointError(f"{shown_path(path)} is a {kind}; a regular file was expected.")


def _missing(path: Path) -> str:
    if path.is_symlink():
        return f"{shown_path(path)} is a symbolic link to {shown_path(path.readlink())}, which does not exist."
    return f"{shown_path(path)}: no such file."


def _reason(error: OSError | ValueError) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
