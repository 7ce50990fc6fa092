"""What a checkpoint holds, as records: names, types, shapes and where the bytes are. Nothing here reads a tensor."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from zoo.checkpoint.dtypes import DType
from zoo.checkpoint.files import EMPTY_FILES, ModelFiles

__all__ = ["Checkpoint", "EncodedBytes", "StoredBytes", "TensorRecord"]


@dataclass(frozen=True, slots=True)
class StoredBytes:
    """Elements as they are: contiguous, row-major, little-endian, at bytes offset..offset+nbytes of a file."""

    path: Path
    offset: int
    nbytes: int


@dataclass(frozen=True, slots=True)
class EncodedBytes:
    """Elements that must be decoded (quantised blocks). One-way: what is decoded can't be stored back as it was.

    encoding: the name of the encoding in its format, e.g. "Q4_1". nbytes: the bytes stored.
    decode: yields the elements in the record's dtype, row-major and little-endian, in chunks of bounded size.
    """

    path: Path
    offset: int
    nbytes: int
    encoding: str
    decode: Callable[[], Iterator[bytes | bytearray | memoryview]] = field(compare=False)


@dataclass(frozen=True, slots=True)
class TensorRecord:
    """A tensor of a checkpoint. dtype is that of the elements after decoding."""

    name: str
    dtype: DType
    shape: tuple[int, ...]
    data: StoredBytes | EncodedBytes

    @property
    def elements(self) -> int:
        """How many elements it has."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of the elements after decoding."""
        return self.dtype.nbytes(self.elements)


class Checkpoint(Mapping[str, TensorRecord]):
    """An ordered mapping from tensor name to record, of one file or of all the shards of a directory.

    format: the name of its FormatSpec. files: the files that hold tensors. metadata: the format's own, e.g. the
    `__metadata__` of safetensors or the key-values of GGUF. side_files: config.json, tokenizer.json and the like that
    the checkpoint file itself carries (GGUF); for a directory, the files beside the tensors.
    """

    def __init__(
        self,
        *,
        format: str,
        location: Path,
        files: Sequence[Path],
        records: Mapping[str, TensorRecord],
        metadata: Mapping[str, Any] = MappingProxyType({}),
        side_files: ModelFiles = EMPTY_FILES,
    ) -> None:
        self.format = format
        self.location = location
        self.files = tuple(files)
        self.metadata = metadata
        self.side_files = side_files
        self._records = dict(records)

    def __getitem__(self, name: str) -> TensorRecord:
        return self._records[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._records)

    def __len__(self) -> int:
        return len(self._records)

    def __repr__(self) -> str:
        return f"Checkpoint({str(self.location)!r}, format={self.format!r}, tensors={len(self)})"
