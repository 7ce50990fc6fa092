"""The file system, as durable writing needs it: new files, directories flushed to disk, and errors in zoo's words."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from zoo.checkpoint.copying import copy_range, ends_early
from zoo.checkpoint.describe import shown_path
from zoo.checkpoint.records import StoredBytes
from zoo.checkpoint.regular_file import open_regular, read_up_to
from zoo.errors import SaveError

__all__ = ["Buffer", "OutputFile", "make_directories", "saving_errors", "sync_directory"]

Buffer = bytes | bytearray | memoryview

_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_SMALL = 2**18
_PENDING_LIMIT = 2**22
_BEGIN_BYTES = 2**25
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
    """A new file, written from front to back. Small pieces are gathered; large ones go to the system without a copy,
    and ranges of other files don't even pass through this process.

    The process's umask decides about its permissions. Closing without an error flushes it to disk if `sync`.
    Raises SaveError when the system refuses, FileExistsError among its reasons.
    """

    def __init__(
        self,
        path: Path,
        *,
        size: int = 0,
        sync: bool,
        copied: Callable[[int], None] | None = None,
        written: Callable[[int], None] | None = None,
        meanwhile: Callable[[], None] | None = None,
    ) -> None:
        """size: how long the file will be, if that is known: it is so long then, and its space claimed, at once.

        copied: told how many bytes of ranges were copied since it was told before. written: told how many bytes, from
        the first on, the system has been given. meanwhile: called when all bytes are
        written, while they are flushed to disk; its error is that of closing the file.
        """
        self._path = path
        self._sync = sync
        self._copied = copied
        self._tell_written = written
        self._meanwhile = meanwhile
        self._pending = bytearray()
        self._written = 0
        self._begun = 0
        self._range = StoredBytes(path, 0, 0)
        self._source: tuple[Path, int] | None = None
        self._opened = ExitStack()
        with saving_errors(f"{shown_path(path)} can't be created"):
            self._descriptor = os.open(path, _FLAGS, 0o666)
        try:
            self._preallocate(size)
        except BaseException:
            os.close(self._descriptor)
            raise

    def write(self, data: memoryview) -> None:
        """Append bytes (a view of one dimension, of single bytes)."""
        self._settle_range()
        if data.nbytes > _SMALL:
            self._flush()
            self._write(data)
            return
        self._pending += data
        if len(self._pending) >= _PENDING_LIMIT:
            self._flush()

    def copy(self, data: StoredBytes) -> None:
        """Append a range of another file. Ranges that follow each other there are copied as one.

        Raises MalformedCheckpoint, now or later, when that file is too short.
        """
        before = self._range
        # Paths last: they are slow to compare.
        if before.nbytes and before.offset + before.nbytes == data.offset and before.path == data.path:
            self._range = StoredBytes(before.path, before.offset, before.nbytes + data.nbytes)
        elif data.nbytes:
            self._settle_range()
            self._range = data

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._settle_range()
                self._flush()
                self._complete()
        finally:
            self._opened.close()
            os.close(self._descriptor)

    def _preallocate(self, size: int) -> None:
        if size == 0:
            return
        with saving_errors(f"{shown_path(self._path)} of {size} bytes can't be written"):
            try:
                if hasattr(os, "posix_fallocate"):
                    os.posix_fallocate(self._descriptor, 0, size)
                    return
            except OSError as error:
                # Some file systems can't, which says nothing about whether the bytes can be written.
                if error.errno not in _NO_PREALLOCATION:
                    raise
            os.ftruncate(self._descriptor, size)

    def _settle_range(self) -> None:
        """Append the range that might have been continued."""
        data = self._range
        if not data.nbytes:
            return
        self._range = StoredBytes(self._path, 0, 0)
        source = self._descriptor_of(data.path)
        if data.nbytes > _SMALL:
            self._flush()
            with saving_errors(f"{shown_path(self._path)} can't be written"):
                copy_range(source, self._descriptor, data.offset, data.nbytes, data.path, self._note_copied)
            return
        self._pending += _read_exactly(source, data)
        if self._copied is not None:
            self._copied(data.nbytes)
        if len(self._pending) >= _PENDING_LIMIT:
            self._flush()

    def _descriptor_of(self, path: Path) -> int:
        """The source that was read last stays open: mostly it is read again."""
        if self._source is None or (self._source[0] is not path and self._source[0] != path):
            self._opened.close()
            self._source = (path, self._opened.enter_context(open_regular(path))[0])
        return self._source[1]

    def _note_copied(self, count: int) -> None:
        self._note_written(count)
        if self._copied is not None:
            self._copied(count)

    def _note_written(self, count: int) -> None:
        """Have the disk begin with what is written while more is copied: at the end there is less to wait for."""
        self._written += count
        if self._tell_written is not None:
            self._tell_written(self._written)
        waiting = self._written - self._begun
        if not self._sync or waiting < _BEGIN_BYTES or not hasattr(os, "posix_fadvise"):
            return
        # Linux writes pages back that it is told are not needed; those that it still has to write stay in memory.
        with suppress(OSError):
            os.posix_fadvise(self._descriptor, self._begun, waiting, os.POSIX_FADV_DONTNEED)
        self._begun = self._written

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
                self._note_written(written)

    def _complete(self) -> None:
        """Flush the file to disk, and do beside it what was to be done meanwhile."""
        if self._meanwhile is None:
            self._to_disk()
        elif not self._sync:
            self._meanwhile()
        else:
            failures: list[Exception] = []

            def flush() -> None:
                try:
                    self._to_disk()
                except Exception as error:
                    failures.append(error)

            flushing = threading.Thread(target=flush, name="zoo-fsync")
            flushing.start()
            try:
                self._meanwhile()
            finally:
                flushing.join()
            if failures:
                raise failures[0]

    def _to_disk(self) -> None:
        if self._sync:
            with saving_errors(f"{shown_path(self._path)} can't be flushed to disk"):
                os.fsync(self._descriptor)


def _read_exactly(descriptor: int, data: StoredBytes) -> bytes:
    content = read_up_to(descriptor, data.nbytes, data.offset, data.path)
    if len(content) < data.nbytes:
        raise ends_early(data.path, data.offset, data.nbytes)
    return content
