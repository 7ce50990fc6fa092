"""What can be checked of a checkpoint beyond opening it: checksums that it carries, and what its index announces."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from zoo.checkpoint import Checkpoint
from zoo.checkpoint.describe import listed, quoted, shown_path
from zoo.checkpoint.regular_file import open_regular, read_up_to
from zoo_tools.manifest import MANIFEST_NAME
from zoo_tools.manifest_check import check_manifest, is_manifest

__all__ = ["Soundness", "check_soundness"]

_ZIP = b"PK\x03\x04"


@dataclass(frozen=True, slots=True)
class Soundness:
    """checks: what was checked. problems: what is wrong. notes: what is odd. All in words."""

    checks: tuple[str, ...]
    problems: tuple[str, ...]
    notes: tuple[str, ...]


def check_soundness(checkpoint: Checkpoint, progress: Callable[[int, int], None] | None = None) -> Soundness:
    """Check an open checkpoint against the checksums that it carries. It has been read strictly when it was opened."""
    checks = [f"headers of {len(checkpoint.files)} {'file' if len(checkpoint.files) == 1 else 'files'}"]
    problems: list[str] = []
    notes = list(checkpoint.warnings)
    if len(checkpoint.files) > 1:
        checks.append("shards against each other and the index")
    _check_total(checkpoint, notes)
    archives = [path for path in checkpoint.files if _begins_with(path, _ZIP)]
    if archives:
        from zoo.checkpoint.pickles.zip_archive import check_entries

        checks.append("checksums of the zip archive")
        for path in archives:
            entries = check_entries(path)
            problems += [f"{shown_path(path)}: {problem}" for problem in entries.problems]
            notes += [f"{shown_path(path)}: {note}." for note in entries.notes]
    manifest = _manifest_of(checkpoint)
    if manifest is not None:
        checks.append(f"sha256 of {manifest.name}")
        problems += check_manifest(manifest)
    if checkpoint.unsupported:
        notes.append(f"Not checked, since zoo can't read them: {listed(map(quoted, checkpoint.unsupported))}.")
    return Soundness(tuple(checks), tuple(problems), tuple(notes))


def _manifest_of(checkpoint: Checkpoint) -> Path | None:
    """The manifest of ours that goes with a directory, or with a single file."""
    location = checkpoint.location
    path = location / MANIFEST_NAME if location.is_dir() else location.with_name(f"{location.name}.{MANIFEST_NAME}")
    return path if is_manifest(path) else None


def _check_total(checkpoint: Checkpoint, notes: list[str]) -> None:
    """Some writers count tied tensors twice, so this is no error."""
    announced = checkpoint.metadata.get("total_size") if len(checkpoint.files) > 1 else None
    actual = sum(record.nbytes for record in checkpoint.values())
    if isinstance(announced, int | float) and announced != actual:
        notes.append(f"The index announces a total_size of {announced} bytes; the tensors take {actual}.")


def _begins_with(path: Path, magic: bytes) -> bool:
    with open_regular(path) as (descriptor, _):
        return read_up_to(descriptor, len(magic), 0, path) == magic
