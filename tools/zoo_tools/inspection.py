"""What a checkpoint holds, from its headers alone: a terabyte takes no longer than its list of tensors."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from zoo.checkpoint import Checkpoint, EncodedBytes, TensorRecord, open_checkpoint
from zoo.checkpoint.describe import quoted
from zoo.checkpoint.records import CodeReport, Selection
from zoo.describe import Description
from zoo.errors import InvalidInput
from zoo_tools.json_values import code_to_json, metadata_to_json, selection_to_json
from zoo_tools.sharing import bytes_in_file, overlapping_groups, tied_groups

__all__ = ["DTypeTotal", "FileTotal", "InspectReport", "TensorReport", "inspect", "inspect_checkpoint"]


class TensorReport(NamedTuple):
    """One tensor. dtype: of its elements. encoding: how they are encoded, if they are, e.g. "Q4_1".

    nbytes: what it takes in the file. file: where that is. model: whether it belongs to the part that is the model.
    tied_to: the name under which the same tensor came before; its bytes are there once.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    elements: int
    nbytes: int
    file: Path
    encoding: str | None
    model: bool
    tied_to: str | None

    @property
    def stored_as(self) -> str:
        """The encoding, or else the dtype."""
        return self.encoding or self.dtype

    def to_json(self) -> Description:
        """The tensor as a JSON object."""
        return {
            "name": self.name,
            "dtype": self.dtype,
            "shape": list(self.shape),
            "elements": self.elements,
            "bytes": self.nbytes,
            "file": self.file.name,
            "encoding": self.encoding,
            "model": self.model,
            "tied_to": self.tied_to,
        }


class DTypeTotal(NamedTuple):
    """All tensors of one dtype or encoding."""

    name: str
    tensors: int
    elements: int
    nbytes: int


class FileTotal(NamedTuple):
    """One of the files. nbytes: its size. tensor_bytes: what its tensors take in it, shared bytes once."""

    path: Path
    nbytes: int
    tensors: int
    tensor_bytes: int


@dataclass(frozen=True, slots=True)
class InspectReport:
    """What `inspect` found.

    parameters: the elements of the model's tensors; tied ones, which are stored once, count once.
    tensor_bytes: what all tensors take, bytes that several share once. tied: groups of names of one and the same
    tensor. overlapping: groups of names of tensors that differ but share bytes: views into one storage.
    unsupported: names of tensors that can't be read -> why. selection: which part of the file is the model.
    code: what unpickling the file would do; None when it is no pickle. warnings: what is odd, in words.
    """

    location: Path
    format: str
    tensors: tuple[TensorReport, ...]
    parameters: int
    tensor_bytes: int
    dtypes: tuple[DTypeTotal, ...]
    files: tuple[FileTotal, ...]
    tied: tuple[tuple[str, ...], ...]
    overlapping: tuple[tuple[str, ...], ...]
    metadata: Mapping[str, Any]
    selection: Selection | None
    unsupported: Mapping[str, str]
    code: CodeReport | None
    warnings: tuple[str, ...]

    @property
    def file_bytes(self) -> int:
        """The size of all files together."""
        return sum(file.nbytes for file in self.files)

    def matching(self, pattern: str) -> tuple[TensorReport, ...]:
        """The tensors in whose name the regular expression is found. Raises InvalidInput when it is none."""
        try:
            expression = re.compile(pattern)
        except re.error as error:
            raise InvalidInput(
                f"{quoted(pattern)} is no regular expression: {error}.",
                hint=r"For instance: '\.q_proj\.weight$'; a literal dot is written '\.'.",
            ) from error
        return tuple(tensor for tensor in self.tensors if expression.search(tensor.name))

    def to_json(self, tensors: Iterable[TensorReport] | None = None) -> Description:
        """The report as a JSON object. tensors: those to list; all by default."""
        listed = self.tensors if tensors is None else tensors
        return {**self.facts_to_json(), "tensors": [tensor.to_json() for tensor in listed]}

    def facts_to_json(self) -> Description:
        """The same without its last member, the list of tensors, which may be long."""
        return {
            "location": str(self.location),
            "format": self.format,
            "parameters": self.parameters,
            "tensor_bytes": self.tensor_bytes,
            "file_bytes": self.file_bytes,
            "selection": selection_to_json(self.selection),
            "code": code_to_json(self.code),
            "warnings": list(self.warnings),
            "dtypes": [
                {"dtype": total.name, "tensors": total.tensors, "elements": total.elements, "bytes": total.nbytes}
                for total in self.dtypes
            ],
            "files": [
                {
                    "name": file.path.name,
                    "size_bytes": file.nbytes,
                    "tensors": file.tensors,
                    "tensor_bytes": file.tensor_bytes,
                }
                for file in self.files
            ],
            "tied": [list(group) for group in self.tied],
            "overlapping": [list(group) for group in self.overlapping],
            "unsupported": dict(self.unsupported),
            "metadata": metadata_to_json(self.metadata),
        }


def inspect(path: str | os.PathLike[str]) -> InspectReport:
    """Open a checkpoint of any registered format, by its headers, and say what it holds.

    Raises what `zoo.checkpoint.open_checkpoint` raises. Nothing of the file is run, whatever its format.
    """
    return inspect_checkpoint(open_checkpoint(path))


def inspect_checkpoint(checkpoint: Checkpoint) -> InspectReport:
    """Say what an open checkpoint holds."""
    prefix = _model_prefix(checkpoint.selection)
    tied = tied_groups(checkpoint)
    first = {name: group[0] for group in tied for name in group[1:]}
    tensors = tuple(_tensor(record, prefix, first.get(name)) for name, record in checkpoint.items())
    counted = [tensor for tensor in tensors if tensor.tied_to is None]
    overlapping, shared = overlapping_groups(checkpoint[tensor.name] for tensor in counted)
    return InspectReport(
        location=checkpoint.location,
        format=checkpoint.format,
        tensors=tensors,
        parameters=sum(tensor.elements for tensor in counted if tensor.model),
        tensor_bytes=sum(tensor.nbytes for tensor in counted) - sum(shared.values()),
        dtypes=_dtypes(counted),
        files=_files(checkpoint, counted, shared),
        tied=tied,
        overlapping=overlapping,
        metadata=checkpoint.metadata,
        selection=checkpoint.selection,
        unsupported=checkpoint.unsupported,
        code=checkpoint.code,
        warnings=checkpoint.warnings,
    )


def _model_prefix(selection: Selection | None) -> str | None:
    """What the names of the model's tensors begin with; None when it can't be told which they are."""
    if selection is None or selection.path == "":
        return ""
    return None if selection.path is None else f"{selection.path}."


def _tensor(record: TensorRecord, prefix: str | None, tied_to: str | None) -> TensorReport:
    data = record.data
    return TensorReport(
        record.name,
        record.dtype.name,
        record.shape,
        record.elements,
        bytes_in_file(record),
        data.path,
        data.encoding if isinstance(data, EncodedBytes) else None,
        prefix is not None and record.name.startswith(prefix),
        tied_to,
    )


def _dtypes(tensors: Iterable[TensorReport]) -> tuple[DTypeTotal, ...]:
    """The largest first."""
    totals: dict[str, list[int]] = {}
    for tensor in tensors:
        total = totals.setdefault(tensor.stored_as, [0, 0, 0])
        total[0] += 1
        total[1] += tensor.elements
        total[2] += tensor.nbytes
    ordered = sorted(totals.items(), key=lambda item: (-item[1][2], item[0]))
    return tuple(DTypeTotal(name, *total) for name, total in ordered)


def _files(
    checkpoint: Checkpoint, tensors: Iterable[TensorReport], shared: Mapping[Path, int]
) -> tuple[FileTotal, ...]:
    counts = dict.fromkeys(checkpoint.files, 0)
    taken = dict.fromkeys(checkpoint.files, 0)
    for tensor in tensors:
        counts[tensor.file] = counts.get(tensor.file, 0) + 1
        taken[tensor.file] = taken.get(tensor.file, 0) + tensor.nbytes
    return tuple(
        FileTotal(path, os.stat(path).st_size, counts[path], taken[path] - shared.get(path, 0)) for path in counts
    )
