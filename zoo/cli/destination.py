"""Where `--out` writes what a task makes of each input: all of it decided before anything is computed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import click

__all__ = ["destinations"]

PLACE = "{name}"


def destinations(out: str, inputs: Sequence[str], suffixes: Sequence[str]) -> list[Path]:
    """The file for each input: `out` itself for one; for several, in the directory `out`, or `out` with the names of
    the inputs, without their endings, in place of {name}.

    suffixes: of the files that the task writes; the first is what they get in a directory. Raises UsageError where
    files would replace each other or an input, and for an ending that is none of these.
    """
    targets = [_destination(out, each, len(inputs), suffixes[0]) for each in inputs]
    of_target: dict[str, str] = {}
    for item, target in zip(inputs, targets, strict=True):
        if target.suffix.lower() not in suffixes:
            raise click.UsageError(f"--out: {target} does not end in {', '.join(suffixes)}.")
        other = of_target.setdefault(os.path.normcase(os.path.abspath(target)), item)
        if other != item:
            raise click.UsageError(f"--out: the results of {other} and {item} would both be {target}.")
    _refuse_inputs(targets, inputs)
    return targets


def _destination(out: str, item: str, count: int, suffix: str) -> Path:
    if PLACE in out:
        return Path(out.replace(PLACE, Path(item).stem))
    if out.endswith(("/", os.sep)) or os.path.isdir(out):
        return Path(out, Path(item).stem + suffix)
    if count > 1:
        raise click.UsageError(
            f"--out: {out} is one file for {count} inputs; give a directory, one that is there or ends in {os.sep}, "
            f"or a name with {PLACE} in it."
        )
    if not os.path.isdir(Path(out).absolute().parent):
        raise click.UsageError(f"--out: there is no directory {Path(out).parent}.")
    return Path(out)


def _refuse_inputs(targets: Sequence[Path], inputs: Sequence[str]) -> None:
    files = {_identity(Path(item)): item for item in inputs}
    for target in targets:
        identity = _identity(target)
        if identity is not None and identity in files:
            raise click.UsageError(f"--out: {target} is an input, {files[identity]}, which is not replaced.")


def _identity(path: Path) -> tuple[int, int] | None:
    """The same for all names of a file."""
    try:
        found = path.stat()
    except (OSError, ValueError):  # it is not there, or can't be
        return None
    return found.st_dev, found.st_ino
