"""The same tensors in other files, copied from range to range and never loaded."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Unpack

from zoo.checkpoint.describe import shown_path
from zoo.errors import SaveError
from zoo_tools.conversion import convert
from zoo_tools.migrate_report import MigrateReport
from zoo_tools.options import Options, RunOptions

__all__ = ["merge", "shard"]


def shard(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    max_shard_size: int | str = "5GB",
    **options: Unpack[RunOptions],
) -> MigrateReport:
    """Write a checkpoint into files of at most so many bytes of tensors, with an index, into a directory.

    A single tensor that is larger has a file of its own. The other files of a model directory are copied.
    options: resume, force, verify, sync, manifest, jobs, dry_run, progress, as those of `zoo_tools.migrate`, whose
    errors are those of this, too.
    """
    if Path(target).name.endswith(".safetensors") and not os.path.isdir(target):
        raise SaveError(f"{shown_path(Path(target))} names a file; shards are written into a directory.")
    return convert(source, target, Options(max_shard_size=max_shard_size, **options))


def merge(
    source: str | os.PathLike[str], target: str | os.PathLike[str], **options: Unpack[RunOptions]
) -> MigrateReport:
    """Write all shards of a checkpoint into one file.

    It is `target` itself if that ends in `.safetensors`, or `model.safetensors` in that directory, beside which the
    other files of a model directory are copied. Options and errors are those of `zoo_tools.shard`.
    """
    return convert(source, target, Options(max_shard_size=None, **options))
