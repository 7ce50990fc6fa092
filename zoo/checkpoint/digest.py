"""What a checkpoint is, in one number: of its header, which is cheap, or of its contents, however they are laid out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from zoo.checkpoint.reading import read_bytes
from zoo.checkpoint.records import Checkpoint, StridedBytes, TensorRecord
from zoo.checkpoint.regular_file import open_regular, read_at

__all__ = ["content_digest", "file_digest", "header_digest", "tensor_digest"]

_CHUNK = 2**20


def header_digest(checkpoint: Checkpoint) -> str:
    """SHA-256 of all that the headers say about tensors: names, types, shapes and places, but not of the elements."""
    digest = hashlib.sha256()
    places = {path: place for place, path in enumerate(checkpoint.files)}
    for name, record in checkpoint.items():
        data = record.data
        strides = (data.strides, data.swapped) if isinstance(data, StridedBytes) else ()
        place = places.get(data.path, -1)
        line = (name, record.dtype.name, record.shape, place, data.offset, data.nbytes, strides)
        digest.update(json.dumps(line).encode() + b"\n")
    digest.update(json.dumps([sorted(checkpoint.aliases.items()), sorted(checkpoint.unsupported)]).encode())
    return digest.hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a regular file."""
    digest = hashlib.sha256()
    with open_regular(path) as (descriptor, _):
        position = 0
        while part := read_at(descriptor, _CHUNK, position, path):
            digest.update(part)
            position += len(part)
    return digest.hexdigest()


def tensor_digest(record: TensorRecord) -> str:
    """SHA-256 of the elements of a tensor, row-major and little-endian."""
    digest = hashlib.sha256()
    for part in read_bytes(record, _CHUNK):
        digest.update(part)
    return digest.hexdigest()


def content_digest(records: Mapping[str, TensorRecord], digests: Mapping[str, str]) -> str:
    """One number for a set of tensors, whatever the format, the shards and the order in which they are stored.

    It is the SHA-256 of one line of JSON for each name, sorted: [name, dtype, shape, SHA-256 of the elements], in UTF-8
    without spaces, ended by a line feed. records: name -> tensor, the other names of tied tensors among them.
    digests: name -> `tensor_digest`.
    """
    digest = hashlib.sha256()
    for name in sorted(records):
        record = records[name]
        line = [name, record.dtype.name, list(record.shape), digests[name]]
        digest.update(json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")
    return digest.hexdigest()
