"""The files beside the tensors of a model directory: which of them go with it, and which don't."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from zoo.checkpoint import StoredBytes
from zoo.checkpoint.index import INDEX_SUFFIX
from zoo.checkpoint.publication import WORK_FOLDER
from zoo.checkpoint.publish import is_weights
from zoo.checkpoint.regular_file import open_regular, read_up_to
from zoo.checkpoint.rules import file_name_problem
from zoo.errors import CheckpointError

__all__ = ["SideFiles", "find_side_files"]

_PICKLES = (".ckpt", ".jit", ".joblib", ".pickle", ".pkl", ".pt", ".ptl", ".pth", ".pth.tar", ".th")
_WEIGHTS = (".safetensors", ".h5", ".msgpack", ".ot", ".tflite")
_ZIPPED_PICKLES = (".bin", ".model", ".tar")
_PROTOCOLS = tuple(b"\x80" + bytes([protocol]) for protocol in range(6))
_ZIP = b"PK\x03\x04"


@dataclass(slots=True)
class SideFiles:
    """copied: name relative to the directory -> its bytes. left_out, skipped: names, with the reason."""

    copied: dict[str, StoredBytes] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)


def find_side_files(directory: Path, *, tensors: Collection[Path], but: Collection[Path] = ()) -> SideFiles:
    """Look at everything below a model directory.

    Left out are what holds the tensors (`tensors`, and indexes), other weights, which would be stale copies, and
    pickles, which run code when they are opened. Skipped are what is no regular file, hidden folders, and symbolic
    links that lead out of the directory, unless they lead into the Hub's cache that the directory is a part of.
    but: folders that are passed over without a word.
    """
    found = SideFiles()
    own = {os.path.realpath(path) for path in tensors}
    passed_over = {os.path.realpath(path) for path in but}
    allowed = _roots(directory)
    _walk(directory, "", found, own, passed_over, allowed)
    return found


def _walk(
    directory: Path, prefix: str, found: SideFiles, own: set[str], passed_over: set[str], allowed: list[str]
) -> None:
    try:
        entries = sorted(os.scandir(directory), key=lambda entry: entry.name)
    except OSError as error:
        found.skipped[prefix or "."] = f"it can't be listed: {error.strerror}"
        return
    for entry in entries:
        name = prefix + entry.name
        if entry.is_dir(follow_symlinks=False):
            if os.path.realpath(entry.path) in passed_over or entry.name.endswith(WORK_FOLDER):
                continue
            if entry.name.startswith("."):
                found.skipped[name + "/"] = "it is a hidden folder"
                continue
            _walk(Path(entry.path), name + "/", found, own, passed_over, allowed)
            continue
        _sort_in(Path(entry.path), name, found, own, allowed)


def _sort_in(path: Path, name: str, found: SideFiles, own: set[str], allowed: list[str]) -> None:
    real = os.path.realpath(path)
    if real in own:
        found.left_out[name] = "its tensors are in the new files"
        return
    problem = _problem(path, real, name, allowed)
    if problem is not None:
        found.skipped[name] = problem
        return
    reason = _reason_to_leave_out(path, name)
    if reason is not None:
        found.left_out[name] = reason
        return
    found.copied[name] = StoredBytes(path, 0, os.path.getsize(path))


def _problem(path: Path, real: str, name: str, allowed: list[str]) -> str | None:
    if os.path.islink(path) and not any(real.startswith(root + os.sep) for root in allowed):
        return "it is a symbolic link that leads out of the directory"
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        return f"it can't be read: {error.strerror}"
    if stat.S_ISDIR(mode):
        return "it is a symbolic link to a folder"
    if not stat.S_ISREG(mode):
        return "it is a pipe, socket or device"
    return file_name_problem(name)


def _reason_to_leave_out(path: Path, name: str) -> str | None:
    lower = name.lower()
    if lower.endswith(INDEX_SUFFIX):
        return "it is the index of other files"
    if lower.endswith(_WEIGHTS) or is_weights(name):
        return "it holds weights of its own"
    if lower.endswith(_PICKLES):
        return "it is a pickle"
    try:
        with open_regular(path) as (descriptor, _):
            start = read_up_to(descriptor, 4, 0, path)
    except CheckpointError as error:
        return str(error)
    if start.startswith(_PROTOCOLS) or (start == _ZIP and lower.endswith(_ZIPPED_PICKLES)):
        return "it is a pickle"
    return None


def _roots(directory: Path) -> list[str]:
    """Where links may lead: inside, or to the blobs of the Hub's cache if this is a snapshot in it."""
    roots = [os.path.realpath(directory)]
    absolute = Path(os.path.abspath(directory))
    if absolute.parent.name == "snapshots":
        roots.append(os.path.realpath(absolute.parent.parent / "blobs"))
    return roots
