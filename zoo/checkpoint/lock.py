"""One save at a time per directory, and telling a save that is running from one that died."""

from __future__ import annotations

import errno
import os
import shutil
import sys
from collections.abc import Collection
from pathlib import Path

from zoo.checkpoint.describe import shown_path
from zoo.checkpoint.output import saving_errors
from zoo.errors import SaveError

__all__ = ["WorkFolder"]

_LOCK_NAME = "lock"
_LOCK_FLAGS = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}


class WorkFolder:
    """The folder in which a save works, held by this process until `release` or the process's end.

    The system drops the lock on the file in it when its holder dies, so a folder whose lock can be had was left by a
    save that died. Where the file system has no locks, a folder that is there already can't be told from one in use.
    """

    def __init__(self, path: Path) -> None:
        """Create or take over the folder. Raises SaveError when another save holds it, or may hold it."""
        self.path = path
        self._lock_path = path / _LOCK_NAME
        with saving_errors(f"{shown_path(path)} can't be created"):
            created = self._make()
            try:
                self._refuse_link()
                self._descriptor = os.open(self._lock_path, _LOCK_FLAGS, 0o666)
            except OSError:
                if created:
                    os.rmdir(path)
                raise
        try:
            self._hold(created)
        except BaseException:
            os.close(self._descriptor)
            raise

    def release(self) -> None:
        """Remove the folder and let go of it."""
        try:
            with saving_errors(f"{shown_path(self.path)} can't be removed"):
                self.clear()
                if os.name == "nt":
                    self._close()  # what is open can't be removed there
                os.unlink(self._lock_path)
                self._remove_folder()
        finally:
            self._close()

    def clear(self, but: Collection[str] = ()) -> None:
        """Remove all that is in the folder but the lock, and `but` the files and folders of these names.

        Symbolic links go whatever their names; no save makes any, and to go on with one would be to write elsewhere.
        """
        with os.scandir(self.path) as entries:
            for entry in entries:
                if entry.name == _LOCK_NAME or (entry.name in but and not entry.is_symlink()):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    shutil.rmtree(entry)
                else:
                    os.unlink(entry)

    def abandon(self) -> None:
        """Let go of the folder, and leave it and what is in it to the next save."""
        self._close()

    def _make(self) -> bool:
        try:
            os.mkdir(self.path)
        except FileExistsError:
            # A link would lead the save's files, and their removal, elsewhere.
            if os.path.islink(self.path) or not os.path.isdir(self.path):
                raise
            return False
        return True

    def _refuse_link(self) -> None:
        # Opening it would make a file, or lock one, wherever it leads.
        if os.path.islink(self._lock_path):
            raise SaveError(
                f"{shown_path(self._lock_path)} is a symbolic link; the lock of a save is none.",
                hint=f"If no other save is running, remove {shown_path(self.path)}.",
            )

    def _hold(self, created: bool) -> None:
        with saving_errors(f"{shown_path(self._lock_path)} can't be locked"):
            held = _try_lock(self._descriptor)
        if held is None and not created:
            raise SaveError(
                f"{shown_path(self.path)} belongs to another save, and this file system has no locks to tell whether "
                "that still runs.",
                hint="If it does not, remove that folder and save again.",
            )
        if held is False or not self._is_current():
            raise SaveError(
                f"{shown_path(self.path.parent)}: another save into this directory is running.",
                hint="Wait for it to end, or save elsewhere.",
            )

    def _is_current(self) -> bool:
        """Whether the locked file is still the one in the folder: its last holder may have removed it meanwhile."""
        try:
            return os.path.samestat(os.stat(self._lock_path), os.fstat(self._descriptor))
        except FileNotFoundError:
            return False

    def _remove_folder(self) -> None:
        try:
            os.rmdir(self.path)
        except OSError as error:
            # Now that the lock is gone, another save may be beginning here.
            if error.errno not in (errno.ENOENT, errno.ENOTEMPTY, errno.EEXIST):
                raise

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


def _try_lock(descriptor: int) -> bool | None:
    """Lock the file for this process: True when it is, False when another holds it, None where there are no locks."""
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EAGAIN, errno.EDEADLK):
            return False
        if error.errno in _NO_LOCKS:
            return None
        raise
    return True
