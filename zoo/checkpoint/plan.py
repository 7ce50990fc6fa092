"""What will be written where, decided before a byte is: the order of tensors, their shards, and each one's place."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod

from zoo.checkpoint.describe import quoted
from zoo.checkpoint.dtypes import DType
from zoo.checkpoint.rules import METADATA_KEY, name_problem, shape_problem
from zoo.errors import SaveError

__all__ = ["INDEX_NAME", "SINGLE_NAME", "FilePlan", "PlacedTensor", "ShardPlan", "TensorPlan", "plan_shards"]

SINGLE_NAME = "model.safetensors"
INDEX_NAME = "model.safetensors.index.json"

_DIGITS = re.compile("([0-9]+)")

# The reference library writes the widest elements first, so that each tensor is aligned to its own. The types are
# declared from narrow to wide.
_WIDTH_ORDER = {dtype.name: place for place, dtype in enumerate(DType)}


@dataclass(frozen=True, slots=True)
class TensorPlan:
    """A tensor that is to be written."""

    name: str
    dtype: DType
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        """The bytes of its elements."""
        return self.dtype.nbytes(prod(self.shape))


@dataclass(frozen=True, slots=True)
class PlacedTensor:
    """A tensor and its place: bytes begin..end of the data, which follows the header of its file."""

    tensor: TensorPlan
    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class FilePlan:
    """One file. tensors: in the order of their bytes, without gaps."""

    name: str
    tensors: tuple[PlacedTensor, ...]

    @property
    def data_bytes(self) -> int:
        """The bytes of its tensors; the header comes on top."""
        return self.tensors[-1].end if self.tensors else 0


@dataclass(frozen=True, slots=True)
class ShardPlan:
    """All files of a checkpoint: one `model.safetensors`, or numbered shards and an index."""

    files: tuple[FilePlan, ...]

    @property
    def total_size(self) -> int:
        """The bytes of all tensors."""
        return sum(file.data_bytes for file in self.files)

    @property
    def weight_map(self) -> Mapping[str, str]:
        """Tensor name -> file name, sorted by tensor name."""
        return dict(sorted((placed.tensor.name, file.name) for file in self.files for placed in file.tensors))

    @property
    def index(self) -> bytes | None:
        """The contents of `model.safetensors.index.json` as transformers writes it; None for a single file."""
        return self.index_with({})

    def index_with(self, metadata: Mapping[str, str]) -> bytes | None:
        """The same with more metadata than the total size, e.g. the names of tied tensors as the Hub's client notes."""
        if len(self.files) == 1:
            return None
        contents = {"metadata": {"total_size": self.total_size, **metadata}, "weight_map": self.weight_map}
        return (json.dumps(contents, indent=2) + "\n").encode()


def plan_shards(tensors: Iterable[TensorPlan], max_shard_size: int | None = None) -> ShardPlan:
    """Plan the files for these tensors; the same ones in any order give the same plan.

    Shards are filled in the natural order of names (layer 2 before layer 10), so that neighbouring layers lie together.
    max_shard_size: the most bytes of tensors per file, by `parse_size`; a tensor that is larger has a file of its own.
    Raises SaveError for a tensor that no safetensors file can hold, and for two of one name.
    """
    if max_shard_size is not None and max_shard_size < 1:
        raise SaveError(f"max_shard_size is {max_shard_size}; expected at least 1 byte.")
    checked = _check(tensors)
    groups: list[list[TensorPlan]] = [[]]
    filled = 0
    for tensor in sorted(checked, key=_natural_order):
        size = tensor.nbytes
        if max_shard_size is not None and groups[-1] and filled + size > max_shard_size:
            groups.append([])
            filled = 0
        groups[-1].append(tensor)
        filled += size
    if len(groups) == 1:
        return ShardPlan((_place(SINGLE_NAME, groups[0]),))
    return ShardPlan(
        tuple(
            _place(f"model-{number:05d}-of-{len(groups):05d}.safetensors", group)
            for number, group in enumerate(groups, start=1)
        )
    )


def _check(tensors: Iterable[TensorPlan]) -> list[TensorPlan]:
    seen: set[str] = set()
    checked = []
    for tensor in tensors:
        problem = name_problem(tensor.name) or _shape_problem(tensor)
        if tensor.name == METADATA_KEY:
            problem = "the format uses this name for its metadata"
        if tensor.name in seen:
            problem = "there are two tensors of this name"
        if problem is not None:
            raise SaveError(f"Tensor {quoted(tensor.name)} can't be written to a safetensors file: {problem}.")
        seen.add(tensor.name)
        checked.append(tensor)
    return checked


def _shape_problem(tensor: TensorPlan) -> str | None:
    for size in tensor.shape:
        if type(size) is not int or size < 0:
            return f"its shape {list(tensor.shape)} must be of integers of at least 0"
    return shape_problem(tensor.dtype.bits, tensor.shape)


def _natural_order(tensor: TensorPlan) -> tuple[list[str | int], str]:
    # Splitting at digits gives text and numbers in turn, so like is compared with like.
    parts: list[str | int] = list(_DIGITS.split(tensor.name))
    parts[1::2] = map(int, parts[1::2])
    return parts, tensor.name


def _place(name: str, tensors: Iterable[TensorPlan]) -> FilePlan:
    placed = []
    begin = 0
    for tensor in sorted(tensors, key=lambda tensor: (-_WIDTH_ORDER[tensor.dtype.name], tensor.name)):
        end = begin + tensor.nbytes
        placed.append(PlacedTensor(tensor, begin, end))
        begin = end
    return FilePlan(name, tuple(placed))
