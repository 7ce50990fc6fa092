"""Writes the safetensors files of a plan into a work folder: in parallel, compared, noted as done one by one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from zoo.checkpoint.compare import compare_written
from zoo.checkpoint.describe import shown_path
from zoo.checkpoint.following import Follower, Ready
from zoo.checkpoint.journal import Journal
from zoo.checkpoint.output import saving_errors
from zoo.checkpoint.parallel import Progress, Stopped, run_all
from zoo.checkpoint.plan import FilePlan
from zoo.checkpoint.regular_file import open_regular, read_up_to
from zoo.checkpoint.sizes import format_size
from zoo.checkpoint.writer import TensorSource, safetensors_header, write_safetensors
from zoo.errors import CheckpointError, SaveError

__all__ = ["Staging", "prune", "require_space"]

_LEAST_FOLLOWED = 2**23
"""A smaller file is compared when it is written; both together would only hold more in memory."""


@dataclass(frozen=True, slots=True)
class Staging:
    """How files are staged. journal: None when nothing is to be continued after an interruption.

    verify: compare each file with its source when it is written, while it is flushed to disk.
    jobs: how many files are written at a time; one file is compared by as many threads.
    """

    sync: bool
    verify: bool = False
    jobs: int = 1
    journal: Journal | None = None

    def write(
        self,
        files: Iterable[tuple[Path, FilePlan]],
        source: TensorSource,
        *,
        metadata: Mapping[str, str],
        progress: Callable[[int], None] | None,
    ) -> tuple[str, ...]:
        """Write the files; returns the names of those that an interrupted run had completed already.

        Such a file is compared with its source and stays when they agree; it is written anew when they don't.
        progress: told of bytes that are done; those that are compared, too, count again.
        """
        waiting = list(files)
        done = dict(self.journal.done) if self.journal is not None else {}
        counted = Progress(progress)
        kept: list[str] = []

        def task(path: Path, plan: FilePlan) -> Callable[[], None]:
            def work() -> None:
                threads = self.jobs if len(waiting) == 1 else 1
                if plan.name in done and self._is_complete(path, plan, source, metadata, threads, counted):
                    kept.append(plan.name)
                    return

                if self.verify and threads > 1 and plan.data_bytes >= _LEAST_FOLLOWED:
                    self._write_followed(path, plan, source, metadata, threads, counted)
                else:
                    self._write(path, plan, source, metadata, counted)
                if self.journal is not None:
                    self.journal.add(plan.name, os.stat(path).st_size)

            return work

        run_all([task(path, plan) for path, plan in waiting], min(self.jobs, len(waiting)), counted)
        return tuple(kept)

    def _write(
        self, path: Path, plan: FilePlan, source: TensorSource, metadata: Mapping[str, str], counted: Progress
    ) -> None:
        def compare() -> None:
            compare_written(path, plan, source, metadata=metadata, progress=counted)

        write_safetensors(
            path,
            plan,
            source,
            metadata=metadata,
            sync=self.sync,
            progress=counted,
            meanwhile=compare if self.verify else None,
        )

    def _write_followed(
        self,
        path: Path,
        plan: FilePlan,
        source: TensorSource,
        metadata: Mapping[str, str],
        threads: int,
        counted: Progress,
    ) -> None:
        """Write a file on this thread, and compare it on others as far as it has been written."""

        def compare(ready: Ready) -> None:
            compare_written(path, plan, source, metadata=metadata, jobs=threads, progress=counted, ready=ready)

        follower = Follower(compare)
        try:
            write_safetensors(
                path,
                plan,
                source,
                metadata=metadata,
                sync=self.sync,
                progress=counted,
                written=follower.advance,
                meanwhile=follower.finish,
            )
        except BaseException as error:
            counted.stop()
            failure = follower.stop()
            if failure is not None and isinstance(error, Stopped):
                raise failure from None
            raise

    def _is_complete(
        self,
        path: Path,
        plan: FilePlan,
        source: TensorSource,
        metadata: Mapping[str, str],
        threads: int,
        counted: Progress,
    ) -> bool:
        """Whether a file that the journal calls done is there as it was written; if not, it is removed."""
        if _begins_with(path, safetensors_header(plan, metadata)):
            try:
                compare_written(path, plan, source, metadata=metadata, jobs=threads, progress=counted)
            except CheckpointError:
                # Whoever is at fault, file or source: to write it again shows it, and mends the file.
                pass
            else:
                if not self.verify:
                    return True
                counted(plan.data_bytes)
                return True
        if self.journal is not None:
            self.journal.forget(plan.name)
        with saving_errors(f"{shown_path(path)} can't be removed"):
            path.unlink(missing_ok=True)
        return False


def prune(folder: Path, keep: Collection[Path]) -> None:
    """Remove all files below a folder but those to keep: what was being written when it ended is of no use.

    Symbolic links go whatever their names, and are not followed.
    """
    for parent, folders, names in os.walk(folder):
        for name in (*folders, *names):
            path = Path(parent, name)
            if os.path.islink(path) or (name in names and path not in keep):
                os.unlink(path)


def require_space(folder: Path, size: int, target: Path) -> None:
    """Raise SaveError when the disk of the folder has no room for so many bytes. target: what to name."""
    with saving_errors(f"{shown_path(target)}: the free space can't be read"):
        free = shutil.disk_usage(folder).free
    if size > free:
        raise SaveError(
            f"{shown_path(target)}: the tensors take {format_size(size)}, but the disk has "
            f"{format_size(free)} free. What is there now stays until the new files are complete.",
            hint=f"Free {format_size(size - free)}, or save elsewhere.",
        )


def _begins_with(path: Path, header: bytes) -> bool:
    # A link would be moved to the target in the file's place.
    if os.path.islink(path) or not os.path.isfile(path):
        return False
    with open_regular(path) as (descriptor, _):
        return read_up_to(descriptor, len(header), 0, path) == header
