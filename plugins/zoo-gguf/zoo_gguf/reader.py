"""Opens a GGUF file as a checkpoint. Reads the header only, and imports neither numpy nor gguf."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from zoo.checkpoint.dtypes import DType
from zoo.checkpoint.records import Checkpoint, EncodedBytes, StoredBytes, TensorRecord
from zoo_gguf.dequantize import dequantize
from zoo_gguf.header import Header, TensorInfo, read_header
from zoo_gguf.parts import read_parts
from zoo_gguf.side_files import side_files

__all__ = ["open_file"]


def open_file(path: Path) -> Checkpoint:
    """The checkpoint in a GGUF file, or in all the parts of a split one when given any of them.

    Elements of plain types are StoredBytes; quantised blocks are EncodedBytes, which decode to float32. The metadata
    are the file's key-values (of a split checkpoint's first part), the side files what they say of the tokenizer.

    Raises MalformedCheckpoint for a file that is truncated or breaks the specification, and UnsupportedFeature for what
    is well formed and not read.
    """
    parts = read_parts(read_header(path))
    first = parts[0]
    return Checkpoint(
        format="gguf",
        location=path,
        files=[part.path for part in parts],
        records={tensor.name: _record(part, tensor) for part in parts for tensor in part.tensors},
        metadata=first.metadata,
        side_files=side_files(first),
    )


def _record(part: Header, tensor: TensorInfo) -> TensorRecord:
    stored_as = tensor.type.stored_as
    if stored_as is not None:
        stored = StoredBytes(part.path, tensor.offset, tensor.nbytes)
        return TensorRecord(tensor.name, stored_as, tensor.shape, stored)
    encoded = EncodedBytes(
        part.path, tensor.offset, tensor.nbytes, tensor.type.name, partial(dequantize, part.path, tensor)
    )
    return TensorRecord(tensor.name, DType.F32, tensor.shape, encoded)
