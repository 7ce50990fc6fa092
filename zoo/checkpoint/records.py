"""What a checkpoint holds, as records: names, types, shapes and where the bytes are. Nothing here reads a tensor."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from zoo.checkpoint.dtypes import DType
from zoo.checkpoint.files import EMPTY_FILES, ModelFiles

__all__ = [
    "Checkpoint",
    "CodeReport",
    "EncodedBytes",
    "GlobalUse",
    "Selection",
    "StoredBytes",
    "StridedBytes",
    "TensorRecord",
]


@dataclass(frozen=True, slots=True)
class StoredBytes:
    """Elements as they are: contiguous, row-major, little-endian, at bytes offset..offset+nbytes of a file."""

    path: Path
    offset: int
    nbytes: int


@dataclass(frozen=True, slots=True)
class StridedBytes:
    """A view into a storage: element (i, j) is at byte `offset + itemsize * (i * strides[0] + j * strides[1])`.

    nbytes: from the first element to the end of the last one that the view reaches. itemsize: bytes per element.
    strides: in elements, none negative; 0 repeats. swapped: how many bytes are stored in reverse (big-endian) order as
    one unit, 0 for little-endian; for complex numbers it is half of the itemsize.
    """

    path: Path
    offset: int
    nbytes: int
    itemsize: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    swapped: int = 0


@dataclass(frozen=True, slots=True)
class EncodedBytes:
    """Elements that must be decoded. One-way (quantised blocks: what is decoded can't be stored back as it was), unless
    they are exact, and only stored in pieces, say.

    encoding: the name of the encoding in its format, e.g. "Q4_1". nbytes: the bytes stored. offset: 0 for what has no
    place of its own, such as a small array inside a pickle. number: tells such tensors of one file apart, as offsets do
    others; it is the same for one tensor under two names.
    decode: yields the elements in the record's dtype, row-major and little-endian, in chunks of bounded size.
    """

    path: Path
    offset: int
    nbytes: int
    encoding: str
    decode: Callable[[], Iterator[bytes | bytearray | memoryview]] = field(compare=False)
    exact: bool = False
    number: int = 0


@dataclass(frozen=True, slots=True)
class TensorRecord:
    """A tensor of a checkpoint. dtype is that of the elements after decoding."""

    name: str
    dtype: DType
    shape: tuple[int, ...]
    data: StoredBytes | StridedBytes | EncodedBytes

    @property
    def elements(self) -> int:
        """How many elements it has."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of the elements after decoding."""
        return self.dtype.nbytes(self.elements)


@dataclass(frozen=True, slots=True)
class Selection:
    """Which part of a file is the model, where it holds more: a training checkpoint with optimizer states, say.

    path: the dotted path of the sub-tree whose tensors are the model's, "" for all; None when it can't be told which.
    candidates: the paths of all sub-trees that hold parameters. left_out: those that don't count (optimizers, ...).
    reason: why this one, or why none, in words.
    """

    path: str | None
    candidates: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True)
class GlobalUse:
    """A Python global that a pickle names. verdict: "tensor" (part of how torch stores tensors), "data" (torch's own
    loader allows it), "code" (unpickling would import its module, which runs that, and call it where `called`).
    """

    module: str
    name: str
    verdict: Literal["tensor", "data", "code"]
    called: bool

    @property
    def dotted(self) -> str:
        """`module.name`."""
        return f"{self.module}.{self.name}"

    @property
    def use(self) -> Literal["called", "imported", "named"]:
        """What unpickling does with it, in a word; what is known to be harmless is named or called."""
        return "called" if self.called else "imported" if self.verdict == "code" else "named"


@dataclass(frozen=True, slots=True)
class CodeReport:
    """What unpickling the file would do. Reading it with zoo does none of that."""

    globals: tuple[GlobalUse, ...]

    @property
    def runs_code(self) -> bool:
        """Whether an unpickler, `torch.load(weights_only=False)` for one, would import or call what is not torch's."""
        return any(use.verdict == "code" for use in self.globals)


class Checkpoint(Mapping[str, TensorRecord]):
    """An ordered mapping from tensor name to record, of one file or of all the shards of a directory.

    format: the name of its FormatSpec. files: the files that hold tensors. metadata: the format's own, e.g. the
    `__metadata__` of safetensors or the key-values of GGUF. side_files: config.json, tokenizer.json and the like that
    the checkpoint file itself carries (GGUF); for a directory, the files beside the tensors.
    aliases: other names of tensors that are stored once -> the name of the record. unsupported: names of tensors that
    can't be read -> why. selection: which part is the model; None where formats hold nothing else. code: what
    unpickling the file would do; None for formats that are no pickles. warnings: what is odd, in words.
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
        aliases: Mapping[str, str] = MappingProxyType({}),
        unsupported: Mapping[str, str] = MappingProxyType({}),
        selection: Selection | None = None,
        code: CodeReport | None = None,
        warnings: Sequence[str] = (),
    ) -> None:
        self.format = format
        self.location = location
        self.files = tuple(files)
        self.metadata = metadata
        self.side_files = side_files
        self.aliases = aliases
        self.unsupported = unsupported
        self.selection = selection
        self.code = code
        self.warnings = tuple(warnings)
        self._records = dict(records)

    def replace(self, **changes: Any) -> Checkpoint:
        """The same checkpoint with some of its parts changed, by the names of the constructor."""
        parts = {
            "format": self.format,
            "location": self.location,
            "files": self.files,
            "records": self._records,
            "metadata": self.metadata,
            "side_files": self.side_files,
            "aliases": self.aliases,
            "unsupported": self.unsupported,
            "selection": self.selection,
            "code": self.code,
            "warnings": self.warnings,
        }
        return Checkpoint(**{**parts, **changes})

    def __getitem__(self, name: str) -> TensorRecord:
        return self._records[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._records)

    def __len__(self) -> int:
        return len(self._records)

    def __repr__(self) -> str:
        return f"Checkpoint({str(self.location)!r}, format={self.format!r}, tensors={len(self)})"
