"""What saves share that happen entirely or not at all: a work folder, a journal, what becomes of both at the end."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

from zoo.checkpoint.describe import shown_path
from zoo.checkpoint.journal import Journal, Resumption
from zoo.checkpoint.lock import WorkFolder
from zoo.checkpoint.output import make_directories, saving_errors
from zoo.errors import SaveError

__all__ = ["AtomicSave"]


class AtomicSave(ABC):
    """A save as a context manager. Everything is written in a work folder, which this process holds; leaving the block
    without an error commits, leaving it with one removes all that was written, unless it can be continued.
    """

    def __init__(
        self, target: Path, directory: Path, work_folder: Path, *, sync: bool, resumption: Resumption | None
    ) -> None:
        """target: what is written, for messages. directory: made if it is missing. work_folder: in it or beside it."""
        self._target = target
        self._parent = directory
        self._work_path = work_folder
        self._sync = sync
        self._resumption = resumption
        self._journal: Journal | None = None
        self.reused: tuple[str, ...] = ()
        """The names of the files of tensors that an interrupted save had completed."""

    @property
    def may_replace(self) -> bool:
        """Whether the job was told to replace what is there: now, or when it began, if it is continued."""
        return self._journal is not None and self._journal.force

    @abstractmethod
    def _prepare(self, done: Collection[str] | None) -> None:
        """Empty the work folder. done: the files of an interrupted save that stay; None for a new one."""

    @abstractmethod
    def _commit(self) -> None:
        """Make this save the one that counts. After an error here it is none."""

    def _recover(self) -> None:
        """End what an earlier save began and can't be undone any more."""
        return

    def _complete(self) -> None:
        """End what was committed. After an error here the next save does it."""
        return

    def __enter__(self) -> Self:
        with saving_errors(f"{shown_path(self._target)} can't be created"):
            self._made = make_directories(self._parent, sync=self._sync)
        try:
            self._work = WorkFolder(self._work_path)
        except BaseException as error:
            _remove_made(self._made, error)
            raise
        try:
            continued = self._begin_journal()
            self._recover()
        except BaseException:
            self._work.abandon()
            raise
        try:
            with saving_errors(f"{shown_path(self._work.path)} can't be prepared"):
                self._prepare(self._journal.done if continued and self._journal is not None else None)
                if self._journal is not None and self._resumption is not None and not continued:
                    self._journal.open(self._resumption.binding)
        except BaseException as error:
            self._discard(error)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None:
            self._discard(error)
            return
        try:
            self._commit()
        except BaseException as failure:
            self._discard(failure)
            raise
        try:
            self._complete()
        except BaseException:
            self._work.abandon()
            raise
        self._work.release()

    def _begin_journal(self) -> bool:
        """Whether an interrupted job is continued here."""
        if self._resumption is None:
            return False
        self._journal, continued = Journal.begin(self._work, self._resumption, sync=self._sync)
        return continued

    def _discard(self, error: BaseException) -> None:
        """Undo what was done, and say so in the error if that fails; the next save then does it.

        What can be continued stays.
        """
        if self._journal is not None and self._journal.done:
            self._work.abandon()
            return
        try:
            self._work.release()
        except SaveError as failure:
            error.add_note(f"What the interrupted save had written could not be removed: {failure}")
        else:
            _remove_made(self._made, error)


def _remove_made(made: Iterable[Path], error: BaseException) -> None:
    """Remove the folders that were made for a save, from the deepest up, and say so in its error if that fails."""
    try:
        for path in made:
            os.rmdir(path)
    except OSError as failure:
        error.add_note(f"{shown_path(path)}, made for this save, could not be removed: {failure.strerror}")
