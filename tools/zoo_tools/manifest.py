"""`manifest.json`: checksums of the files of a checkpoint, and one of its contents that no re-sharding changes."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from zoo.checkpoint import TensorRecord
from zoo.checkpoint.digest import content_digest, file_digest, tensor_digest
from zoo.checkpoint.parallel import Progress, run_all
from zoo.checkpoint.safetensors import read_header

__all__ = ["FORMAT", "MANIFEST_NAME", "FileSum", "Manifest", "make_manifest"]

MANIFEST_NAME = "manifest.json"
FORMAT = "zoo-manifest"
"""By which our manifests are told from other programs' files of that name."""


@dataclass(frozen=True, slots=True)
class FileSum:
    """Size and SHA-256 of a file."""

    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """files: name -> its sum. content_sha256: see `zoo.checkpoint.digest.content_digest`. tensors: all names."""

    files: Mapping[str, FileSum]
    content_sha256: str
    tensors: int

    def to_json(self) -> bytes:
        """The contents of the file."""
        values = {
            "format": FORMAT,
            "version": 1,
            "tensors": self.tensors,
            "content_sha256": self.content_sha256,
            "files": {name: {"size": entry.size, "sha256": entry.sha256} for name, entry in sorted(self.files.items())},
        }
        return (json.dumps(values, indent=2, ensure_ascii=False) + "\n").encode()


def make_manifest(
    tensors: Mapping[str, Path], others: Mapping[str, Path], aliases: Mapping[str, str], jobs: int
) -> Manifest:
    """The manifest of files that are written.

    tensors: those of a checkpoint, its index among them. aliases: other names of tensors -> the name that is stored.
    """
    paths = {**tensors, **others}
    files: dict[str, FileSum] = {}
    digests: dict[str, str] = {}
    records: dict[str, TensorRecord] = {}
    for path in tensors.values():
        if path.name.endswith(".safetensors"):
            records.update(read_header(path).records)

    def sum_file(name: str, path: Path) -> None:
        files[name] = FileSum(os.path.getsize(path), file_digest(path))

    def sum_tensor(record: TensorRecord) -> None:
        digests[record.name] = tensor_digest(record)

    tasks: list[Callable[[], None]] = [partial(sum_file, name, path) for name, path in paths.items()]
    tasks += [partial(sum_tensor, record) for record in records.values()]
    run_all(tasks, jobs, Progress())
    for name, kept in aliases.items():
        records[name], digests[name] = records[kept], digests[kept]
    return Manifest(files, content_digest(records, digests), len(records))
