"""A single safetensors file that is written entirely or not at all, in a directory where nothing else is touched."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Self

from zoo.checkpoint.atomic import AtomicSave
from zoo.checkpoint.describe import shown_path
from zoo.checkpoint.journal import JOURNAL, Resumption
from zoo.checkpoint.output import OutputFile, saving_errors, sync_directory
from zoo.checkpoint.plan import SINGLE_NAME, ShardPlan
from zoo.checkpoint.publication import WORK_FOLDER
from zoo.checkpoint.staging import Staging, require_space
from zoo.checkpoint.writer import HUB_METADATA, TensorSource
from zoo.errors import SaveError

__all__ = ["FileTransaction", "work_folder_of"]


def work_folder_of(path: Path) -> Path:
    """The folder beside a file in which it is written."""
    return path.parent / f".{path.name}{WORK_FOLDER}"


class FileTransaction(AtomicSave):
    """The writing of one file of tensors, and small files that go with it.

        with FileTransaction(Path("y.safetensors")) as save:
            save.write_tensors(plan, source)

    It is written in `.y.safetensors.zoo-save` and gets its name, over an earlier file of that name, by one rename when
    the block ends without an error. With a resumption, a file that was complete already when the process died or the
    block ended with an error is not written again by a later transaction.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, sync: bool = True, resumption: Resumption | None = None
    ) -> None:
        self.path = Path(path)
        super().__init__(self.path, self.path.parent, work_folder_of(self.path), sync=sync, resumption=resumption)
        self._written: list[str] = []

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
        """Write the plan's only file; options as those of DirectoryTransaction.write_tensors."""
        (file,) = plan.files
        done = self._journal is not None and file.name in self._journal.done
        require_space(self._work.path, 0 if done else plan.total_size, self.path)
        staging = Staging(sync=self._sync, verify=verify, jobs=jobs, journal=self._journal)
        files = [(self.staged(SINGLE_NAME), file)]
        self.reused = staging.write(files, source, metadata={**metadata, **aliases}, progress=progress)
        self._written.append(SINGLE_NAME)

    def write_file(self, name: str, content: bytes) -> None:
        """Write a small file that is to lie beside the target, under the target's name with this one appended."""
        with OutputFile(self.staged(name), sync=self._sync) as output:
            output.write(memoryview(content))
        self._written.insert(0, name)

    def staged(self, name: str) -> Path:
        """Where a file that was written lies until the end."""
        return self._work.path / name

    def __enter__(self) -> Self:
        if os.path.isdir(self.path):
            raise SaveError(f"{shown_path(self.path)} is a directory; the name of a file was expected.")
        return super().__enter__()

    def _prepare(self, done: Collection[str] | None) -> None:
        self._work.clear(but=() if done is None else (JOURNAL, *done))

    def _commit(self) -> None:
        with saving_errors(f"{shown_path(self.path)}: the file is complete, but can't be given its name"):
            if self._sync:
                sync_directory(self._work.path)
            for name in self._written:
                suffix = "" if name == SINGLE_NAME else name
                os.replace(self.staged(name), self.path.with_name(self.path.name + suffix))
            if self._sync and self._written:
                sync_directory(self.path.parent)
