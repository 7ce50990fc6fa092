"""Saves into a directory that happen entirely or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType

from zoo.checkpoint.atomic import AtomicSave
from zoo.checkpoint.compare import same_contents
from zoo.checkpoint.describe import quoted, shown_path
from zoo.checkpoint.journal import JOURNAL, Resumption
from zoo.checkpoint.links import folders_of, link_on_the_way
from zoo.checkpoint.output import OutputFile, saving_errors, sync_directory
from zoo.checkpoint.plan import INDEX_NAME, ShardPlan
from zoo.checkpoint.publication import (
    COMMITTED,
    FILES_FOLDER,
    PLAN_FILE,
    STAGED,
    WORK_FOLDER,
    Publication,
    read_publication,
)
from zoo.checkpoint.publish import is_weights, publish, publishing_order
from zoo.checkpoint.records import StoredBytes
from zoo.checkpoint.rules import file_name_problem
from zoo.checkpoint.staging import Staging, prune, require_space
from zoo.checkpoint.writer import HUB_METADATA, Piece, TensorSource
from zoo.errors import SaveError

__all__ = ["DirectoryTransaction"]


class DirectoryTransaction(AtomicSave):
    """A save of tensors and small files into a directory, which may hold an earlier one.

        with DirectoryTransaction(Path("out")) as save:
            save.write_tensors(plan, source)
            save.write_file("config.json", config)

    Everything is written inside `out/.zoo-save` first. Leaving the block without an error commits: one rename, after
    which the new files are what the directory holds; then they get their final names, and the weights of the earlier
    save are removed. Leaving it with an error, or dying in it, leaves all that was there as it was.

    What readers find, when the process or (with sync=True) the machine dies at any moment:

    - `zoo` finds the earlier save, entire, or the new one, entire: it sees through a commit that was not finished, and
      the next save into the directory finishes it.
    - Other programs, which see final names only, find the earlier save, the new one, or no weights at all, which they
      refuse. In a save of tensors, weights of both saves, or weights of one and the configuration of the other, never
      lie there together under final names: between commit and end, the earlier weights go first, then the small files
      change, then the new shards come, and last `model.safetensors` or the index.
    - If the only difference is in one file (weights saved anew, say, beside an unchanged configuration), that file is
      replaced by one rename, so that other programs also find the one or the other, always.

    A file that is written with the contents that it has already is left untouched. Files that neither save wrote stay.
    sync=False flushes nothing to disk: it guards against the death of the process, not of the machine.

    With a resumption, what was written is not thrown away when the block ends with an error and a file of tensors is
    complete, nor when the process dies: a journal says which files are complete, and a later transaction continues.
    """

    def __init__(
        self, directory: str | os.PathLike[str], *, sync: bool = True, resumption: Resumption | None = None
    ) -> None:
        self.directory = Path(directory)
        super().__init__(self.directory, self.directory, self.directory / WORK_FOLDER, sync=sync, resumption=resumption)
        self._written: set[str] = set()
        self._removed: set[str] = set()
        self._has_tensors = False

    def write_tensors(
        self,
        plan: ShardPlan,
        source: TensorSource,
        *,
        metadata: Mapping[str, str] = HUB_METADATA,
        aliases: Mapping[str, str] = MappingProxyType({}),
        verify: bool = False,
        jobs: int = 1,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        """Write all shards of the plan, and the index if there are several; once per transaction.

        source: name -> the tensor's bytes, asked once per tensor, in the order in which they lie on disk; twice with
        verify, and then, or with several jobs, by several threads.
        metadata: the `__metadata__` of every shard. aliases: other names of tensors -> the name that the plan has for
        each; they become metadata of the only file or of the index, as the Hub's client has it.
        verify: read each file again and compare it with the source. jobs: how many files are written at a time.
        progress: told how many bytes were written since it was told before; they add up to the plan's total_size, or
        to twice as much with verify.
        Raises SaveError, before anything is written, when the disk has no room for all of it.
        """
        if self._has_tensors:
            raise SaveError(f"{shown_path(self.directory)}: the tensors of this save were written already.")
        done = set(self._journal.done) if self._journal is not None else set()
        missing = sum(file.data_bytes for file in plan.files if file.name not in done)
        require_space(self._work.path, missing, self.directory)
        self._has_tensors = True
        index = plan.index_with(aliases)
        if index is None:
            metadata = {**metadata, **aliases}
        staging = Staging(sync=self._sync, verify=verify, jobs=jobs, journal=self._journal)
        files = [(self._stage(file.name), file) for file in plan.files]
        self.reused = staging.write(files, source, metadata=metadata, progress=progress)
        if index is not None:
            self._write(INDEX_NAME, (index,))

    def staged(self, name: str) -> Path:
        """Where a file that was written lies until the commit, for those who want to read it."""
        return self._staged / FILES_FOLDER / name

    def write_file(self, name: str, content: Piece | Iterable[Piece]) -> None:
        """Write a file beside the tensors (config.json, ...); its contents in one piece, or in several in order."""
        _check_name(name)
        self._write(name, (content,) if isinstance(content, Piece) else content)

    def remove_file(self, name: str) -> None:
        """Have a file of the earlier save be gone after this one; it need not be there. What is written anew stays."""
        _check_name(name)
        self._refuse_directory(name)
        self._removed.add(name)

    @property
    def _staged(self) -> Path:
        return self._work.path / STAGED

    def _recover(self) -> None:
        interrupted = read_publication(self.directory)
        if interrupted is not None:
            publish(self.directory, interrupted, sync=self._sync)

    def _prepare(self, done: Collection[str] | None) -> None:
        if done is None:
            self._work.clear()
        else:
            self._work.clear(but=(JOURNAL, STAGED))
            prune(self._staged, keep={self._staged / FILES_FOLDER / name for name in done})
        os.makedirs(self._staged / FILES_FOLDER, exist_ok=True)

    def _write(self, name: str, pieces: Iterable[Piece]) -> None:
        with OutputFile(self._stage(name), sync=self._sync) as file:
            for piece in pieces:
                if isinstance(piece, StoredBytes):
                    file.copy(piece)
                else:
                    file.write(memoryview(piece).cast("B"))

    def _stage(self, name: str) -> Path:
        """Where a file of that name is written before the commit."""
        if name in self._written:
            raise SaveError(f"{shown_path(self.directory)}: '{name}' was written already in this save.")
        self._refuse_directory(name)
        self._written.add(name)
        path = self._staged / FILES_FOLDER / name
        if "/" in name:
            with saving_errors(f"{shown_path(path.parent)} can't be created"):
                os.makedirs(path.parent, exist_ok=True)
        return path

    def _refuse_directory(self, name: str) -> None:
        """Refuse, before anything changes, a name under which no file can come to stand."""
        target = self.directory / name
        if os.path.isdir(target):
            raise SaveError(f"{shown_path(target)} is a directory; a save deals with files alone.")
        link = link_on_the_way(name, self.directory)
        if link is not None:
            raise SaveError(
                f"{shown_path(link)} is a symbolic link, so that {quoted(name)} would be changed where it leads.",
                hint="A save deals with files in its directory alone. Remove the link, or save elsewhere.",
            )
        for parent in folders_of(name, self.directory):
            if os.path.lexists(parent) and not os.path.isdir(parent):
                raise SaveError(f"{shown_path(parent)} is a file, so that '{name}' can't be written below it.")

    def _commit(self) -> None:
        """The rename at the end of this is the moment."""
        with saving_errors(f"{shown_path(self.directory)}: the save can't be completed"):
            self._committed = self._publication()
            with OutputFile(self._staged / PLAN_FILE, sync=self._sync) as file:
                file.write(memoryview(self._committed.to_json()))
            if self._sync:
                staged = self._staged / FILES_FOLDER
                folders = sorted(
                    {folder for name in self._written for folder in folders_of(name, staged)}, reverse=True
                )
                for path in (*folders, staged, self._staged, self._work.path, self.directory):
                    sync_directory(path)
            os.rename(self._staged, self._work.path / COMMITTED)

    def _complete(self) -> None:
        publish(self.directory, self._committed, sync=self._sync)

    def _publication(self) -> Publication:
        present = {name for name in os.listdir(self.directory) if not os.path.isdir(self.directory / name)}
        stale = {name for name in present if is_weights(name)} if self._has_tensors else set()
        removed = (stale | {name for name in self._removed if os.path.lexists(self.directory / name)}) - self._written
        changed = {name for name in self._written if is_weights(name) or not self._is_there_already(name)}
        return Publication(
            files=tuple(sorted(changed, key=publishing_order)), removed=tuple(sorted(removed, key=publishing_order))
        )

    def _is_there_already(self, name: str) -> bool:
        """Whether the directory has a file of this name and content, so that it can stay as it is."""
        target, staged = self.directory / name, self._staged / FILES_FOLDER / name
        return target.is_file() and same_contents(target, staged)


def _check_name(name: str) -> None:
    """Files beside the tensors may have any relative name but those of the tensors' own files."""
    problem = file_name_problem(name)
    if name.split("/")[0] == WORK_FOLDER or is_weights(name):
        problem = "the save uses this name itself"
    if problem is not None:
        raise SaveError(f"{quoted(name)} can't be the name of a file beside the tensors: {problem}.")
