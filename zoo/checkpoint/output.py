"""The file system, as durable writing needs it: new files, directories flushed to disk, and errors in zoo's words."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from zoo.checkpoint.describe import shown_path
from zoo.errors import SaveError

__all__ = ["Buffer", "OutputFile", "make_directories", "saving_errors", "sync_directory"]

Buffer = bytes | bytearray | memoryview

_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_SMALL = 2**18
_PENDING_LIMIT = 2**22
_NO_PREALLOCATION = {errno.EINVAL, errno.ENODEV, errno.ENOSYS, errno.EOPNOTSUPP}


@contextmanager
def saving_errors(what: str) -> Iterator[None]:
    """Turn an OSError of ours into a SaveError. what: what was being done, e.g. "out/config.json can't be written"."""
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise SaveError(
            f"{what}: {error.strerror or error}.",
            hint="Free some space, or save elsewhere." if full else None,
        ) from error


def sync_directory(directory: Path) -> None:
    """Flush a directory's entries to disk, where the system can (on Windows directories can't be opened for it)."""
    if os.name == "nt":
        return
    descriptor = os.open(directory, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network and user-space file systems keep their directories durable by themselves and refuse to be told.
        if error.errno not in (errno.EBADF, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
            raise
    finally:
        os.close(descriptor)


def make_directories(directory: Path, *, sync: bool) -> list[Path]:
    """Make a directory and those above it that are missing; returns those that it made, from the deepest up."""
    missing = []
    path = directory
    while not os.path.isdir(path) and path != path.parent:
        missing.append(path)
        path = path.parent
    for path in reversed(missing):
        os.mkdir(path)
        if sync:
            sync_directory(path.parent)
    return missing


class OutputFile:
    """A new file, written from front to back. Small pieces are gathered; large ones go to the system without a copy.

    The process's umask decides about its permissions. Closing without an error flushes it to disk if `sync`.
    Raises SaveError when the system refuses, FileExistsError among its reasons.
    """

    def __init__(self, path: Path, *, size: int = 0, sync: bool) -> None:
        """size: how long the file will be, if that is known: its space is then claimed at once."""
        self._path = path
        self._sync = sync
        self._pending = bytearray()
        with saving_errors(f"{shown_path(path)} can't be created"):
            self._descriptor = os.open(path, _FLAGS, 0o666)
        try:
            self._preallocate(size)
        except BaseException:
            os.close(self._descriptor)
            raise

    def write(self, data: memoryview) -> None:
        """Append bytes (a view of one dimension, of single bytes)."""
        if data.nbytes > _SMALL:
            self._flush()
            self._write(data)
            return
        self._pending += data
        if len(self._pending) >= _PENDING_LIMIT:
            self._flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._flush()
                if self._sync:
                    with saving_errors(f"{shown_path(self._path)} can't be flushed to disk"):
                        os.fsync(self._descriptor)
        finally:
            os.close(self._descriptor)

    def _preallocate(self, size: int) -> None:
        if size == 0 or not hasattr(os, "posix_fallocate"):
            return
        with saving_errors(f"{shown_path(self._path)} of {size} bytes can't be written"):
            try:
                os.posix_fallocate(self._descriptor, 0, size)
            except OSError as error:
                # Some file systems can't, which says nothing about whether the bytes can be written.
                if error.errno not in _NO_PREALLOCATION:
                    raise

    def _flush(self) -> None:
        if self._pending:
            self._write(memoryview(self._pending))
            self._pending = bytearray()

    def _write(self, data: memoryview) -> None:
        with saving_errors(f"{shown_path(self._path)} can't be written"):
            while data.nbytes:
                # The system may take less than it is given.
                written = os.write(self._descriptor, data)
                if written == 0:
                    raise OSError(errno.EIO, "the system took no byte")
                data = data[written:]
