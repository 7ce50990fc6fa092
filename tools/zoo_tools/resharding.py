"""The same tensors in other files, copied from range to range and never loaded."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from zoo.checkpoint.describe import shown_path
from zoo.errors import SaveError
from zoo_tools.conversion import Options, convert
from zoo_tools.migrate_report import MigrateReport

__all__ = ["merge", "shard"]


def shard(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    max_shard_size: int | str = "5GB",
    resume: bool = False,
    force: bool = False,
    verify: bool = True,
    sync: bool = True,
    manifest: bool = False,
    jobs: int | None = None,
    dry_run: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> MigrateReport:
    """Write a checkpoint into files of at most so many bytes of tensors, with an index, into a directory.

    A single tensor that is larger has a file of its own. The other files of a model directory are copied. Options and
    errors are those of `zoo_tools.migrate`.
    """
    if Path(target).name.endswith(".safetensors") and not os.path.isdir(target):
        raise SaveError(f"{shown_path(Path(target))} names a file; shards are written into a directory.")
    options = Options(
        max_shard_size=max_shard_size,
        resume=resume,
        force=force,
        verify=verify,
        sync=sync,
        manifest=manifest,
        jobs=jobs,
        dry_run=dry_run,
        progress=progress,
    )
    return convert(source, target, options)


def merge(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    resume: bool = False,
    force: bool = False,
    verify: bool = True,
    sync: bool = True,
    manifest: bool = False,
    jobs: int | None = None,
    dry_run: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> MigrateReport:
    """Write all shards of a checkpoint into one file.

    It is `target` itself if that ends in `.safetensors`, or `model.safetensors` in that directory, beside which the
    other files of a model directory are copied.

    Options and errors are those of `zoo_tools.migrate`.
    """
    options = Options(
        max_shard_size=None,
        resume=resume,
        force=force,
        verify=verify,
        sync=sync,
        manifest=manifest,
        jobs=jobs,
        dry_run=dry_run,
        progress=progress,
    )
    return convert(source, target, options)
