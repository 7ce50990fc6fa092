"""What can be asked of a migration, a shard or a merge."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypedDict

__all__ = ["Options", "RunOptions"]


class RunOptions(TypedDict, total=False):
    """How a job is done, whatever it is: see `zoo_tools.migrate`."""

    resume: bool
    force: bool
    verify: bool
    sync: bool
    manifest: bool
    jobs: int | None
    dry_run: bool
    progress: Callable[[int, int], None] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What decides about the result, and how it is come by: see `zoo_tools.migrate`.

    max_shard_size: None for a single file.
    """

    max_shard_size: int | str | None
    dtype: str | None = None
    rename: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    select: str | None = None
    skip_unsupported: bool = False
    resume: bool = False
    force: bool = False
    verify: bool = True
    sync: bool = True
    manifest: bool = False
    jobs: int | None = None
    dry_run: bool = False
    progress: Callable[[int, int], None] | None = None
