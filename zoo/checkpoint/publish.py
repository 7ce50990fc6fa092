"""Moves the files of a committed save to their final names, so that no reader ever sees two saves mixed."""

from __future__ import annotations

import os
import re
from pathlib import Path

from zoo.checkpoint.describe import quoted, shown_path
from zoo.checkpoint.links import link_on_the_way
from zoo.checkpoint.output import sync_directory
from zoo.checkpoint.plan import INDEX_NAME, SINGLE_NAME
from zoo.checkpoint.publication import COMMITTED, FILES_FOLDER, PLAN_FILE, WORK_FOLDER, Publication
from zoo.errors import SaveError

__all__ = ["is_weights", "publish", "publishing_order"]

_SHARD = re.compile(r"model-[0-9]{5,}-of-[0-9]{5,}\.safetensors")


def is_weights(name: str) -> bool:
    """Whether a file in a model directory is part of what a save of tensors writes there."""
    return publishing_order(name)[0] > 1


def publishing_order(name: str) -> tuple[int, str]:
    """What to sort by, so that the file by which readers find the weights comes last."""
    if name in (SINGLE_NAME, INDEX_NAME):
        return 3, name
    if _SHARD.fullmatch(name):
        return 2, name
    return int(name == "config.json"), name


def publish(directory: Path, publication: Publication, *, sync: bool) -> None:
    """Give the committed files their final names. It can be done again from any point at which it was interrupted.

    Raises SaveError when the system refuses, and before anything changes when a name leads through a symbolic link,
    which may lead out of the directory; the save stays committed then.
    """
    committed = directory / WORK_FOLDER / COMMITTED
    staged = committed / FILES_FOLDER
    _refuse_links(directory, staged, publication)
    try:
        _flush(directory / WORK_FOLDER, sync)
        pending = [name for name in publication.files if os.path.lexists(staged / name)]
        if publication.removed or len(publication.files) > 1:
            _withdraw(directory, publication, pending, sync=sync)
        for name in pending:
            if name == publication.files[-1] and len(publication.files) > 1:
                _flush(directory, sync)
            folder = (directory / name).parent
            if folder != directory:
                os.makedirs(folder, exist_ok=True)
            os.replace(staged / name, directory / name)
            if folder != directory:
                _flush(folder, sync)
        _flush(directory, sync)
        os.unlink(committed / PLAN_FILE)
    except OSError as error:
        raise SaveError(
            f"{shown_path(directory)}: the new files are complete, and zoo reads them in {shown_path(staged)}, but "
            f"they could not be moved to where other programs look: {error}.",
            hint="Mend the cause and save again into this directory: that finishes it.",
        ) from error


def _refuse_links(directory: Path, staged: Path, publication: Publication) -> None:
    for name in (*publication.files, *publication.removed):
        link = link_on_the_way(name, directory) or link_on_the_way(name, staged)
        if link is not None:
            raise SaveError(
                f"{shown_path(directory)}: a save was interrupted here, whose file {quoted(name)} would be moved or "
                f"removed through the symbolic link {shown_path(link)}.",
                hint="Remove the link and save again. If you did not interrupt a save, someone prepared this directory "
                f"to have other files changed: remove {shown_path(directory / WORK_FOLDER)}.",
            )


def _withdraw(directory: Path, publication: Publication, pending: list[str], *, sync: bool) -> None:
    """Remove the earlier weights, the file by which they are found first; only then may anything beside them change."""
    replaced = [name for name in pending if is_weights(name)]
    gone = [name for name in publication.removed if is_weights(name)]
    for name in sorted((*replaced, *gone), key=publishing_order, reverse=True):
        _unlink(directory / name)
    _flush(directory, sync)
    for name in publication.removed:
        _unlink(directory / name)


def _unlink(path: Path) -> None:
    if os.path.lexists(path):
        os.unlink(path)


def _flush(directory: Path, sync: bool) -> None:
    if sync:
        sync_directory(directory)
