"""One attempt of a fuzzer: write a file, open it, read what it holds."""

from __future__ import annotations

from pathlib import Path

from zoo.checkpoint.pickles import legacy, legacy_tar, torch_zip
from zoo.checkpoint.reading import read_bytes
from zoo.checkpoint.safetensors import open_file
from zoo.checkpoint.select import select_tensors
from zoo.errors import CheckpointError

__all__ = ["attempt"]

_OPENERS = {".pt": (torch_zip.open_file, legacy.open_file, legacy_tar.open_file), ".safetensors": (open_file,)}
_MOST_BYTES = 2**20


def attempt(path: Path, content: bytes) -> int:
    """Open a file of this content by every opener of its suffix; how many of them took it.

    Raises whatever is no CheckpointError: that is what fuzzing looks for.
    """
    path.write_bytes(content)
    taken = 0
    for opener in _OPENERS[path.suffix]:
        try:
            checkpoint = select_tensors(opener(path), ".")
            for record in checkpoint.values():
                if record.nbytes <= _MOST_BYTES:
                    for _ in read_bytes(record):
                        pass
        except CheckpointError:
            continue
        taken += 1
    return taken
