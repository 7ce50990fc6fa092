"""Any readable checkpoint to safetensors, without running what is in it and without holding it in memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from zoo_tools.conversion import convert
from zoo_tools.migrate_report import MigrateReport
from zoo_tools.options import Options

__all__ = ["migrate"]


def migrate(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    max_shard_size: int | str = "10GB",
    dtype: str | None = None,
    rename: Sequence[str] = (),
    drop: Sequence[str] = (),
    keep: Sequence[str] = (),
    select: str | None = None,
    skip_unsupported: bool = False,
    resume: bool = False,
    force: bool = False,
    verify: bool = True,
    sync: bool = True,
    manifest: bool = False,
    jobs: int | None = None,
    dry_run: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> MigrateReport:
    r"""Write the tensors of a checkpoint as safetensors, and copy the other files of a model directory.

    source: a file or directory of any readable format. It is never written to, and nothing in it is run.
    target: a directory, which gets `model.safetensors` or numbered shards with an index; or a file that ends in
    `.safetensors`, which is then the only thing that is written. Either all of it appears there or nothing.

    max_shard_size: the most bytes of tensors per file of a directory. dtype: "bf16", "f16", "f32" or "f64": round the
    floating-point tensors to it, to nearest and ties to even. select: the part of a training checkpoint to take, e.g.
    "state_dict"; "." for all; None to take the only part that holds parameters. drop, keep: regular expressions for
    whole names under that part. rename: "regex=template" for whole names, e.g. r"module\.(.*)=\1"; the first that
    matches counts. skip_unsupported: leave out tensors that can't be read instead of refusing.

    Tensors that share all of their bytes are stored once; their other names become metadata, as the Hub's client does.
    Pickles and other weights of a directory are not copied; the report lists them.

    resume: continue a run that was interrupted, if source, options and version are those it had. force: replace what
    the target holds, and throw away what an interrupted run left. verify: read everything again and compare it with
    the source. sync: wait until all is on the disk. manifest: write `manifest.json` with SHA-256 sums. jobs: threads;
    by default one for each core, at most four. dry_run: say what would be done. progress: told the bytes done and the
    bytes to do, those that are compared on top of those that are written.

    Raises CheckpointError when the source can't be read, or not be told which of its parts is the model; SaveError
    when the target exists or can't be written. What was complete by then is kept, and continued with resume=True.
    """
    options = Options(
        max_shard_size=max_shard_size,
        dtype=dtype,
        rename=tuple(rename),
        drop=tuple(drop),
        keep=tuple(keep),
        select=select,
        skip_unsupported=skip_unsupported,
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
