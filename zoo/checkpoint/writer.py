"""Writes safetensors files as planned: the same tensors give the same bytes, whatever order they come in."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias

from zoo.checkpoint.describe import found, quoted, shown_path
from zoo.checkpoint.output import Buffer, OutputFile
from zoo.checkpoint.plan import FilePlan, TensorPlan
from zoo.checkpoint.records import StoredBytes
from zoo.checkpoint.rules import MAX_HEADER_BYTES, METADATA_KEY, is_unicode
from zoo.errors import SaveError

__all__ = ["HUB_METADATA", "Piece", "TensorSource", "pieces_of", "safetensors_header", "write_safetensors"]

Piece: TypeAlias = Buffer | StoredBytes
TensorSource: TypeAlias = Callable[[str], Piece | Iterable[Piece]]
"""Given a tensor's name, its elements, row-major and little-endian, in one piece or in several in order: in memory or
as ranges of files, which are copied without passing through this process.
"""

HUB_METADATA: Mapping[str, str] = MappingProxyType({"format": "pt"})
"""What transformers asks of the `__metadata__` of files that torch models are loaded from."""

_ALIGNMENT = 8
_PIECE = 2**24


def safetensors_header(plan: FilePlan, metadata: Mapping[str, str] = HUB_METADATA) -> bytes:
    """What stands before the data: its length and the JSON, padded so that the data begin at a multiple of 8.

    These are the bytes that the reference library writes. Raises SaveError for metadata that are not text, and for more
    tensors than readers take.
    """
    contents: dict[str, Any] = {}
    if metadata:
        contents[METADATA_KEY] = _checked(metadata)
    for placed in plan.tensors:
        contents[placed.tensor.name] = {
            "dtype": placed.tensor.dtype.name,
            "shape": placed.tensor.shape,
            "data_offsets": (placed.begin, placed.end),
        }
    text = json.dumps(contents, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    if len(text) > MAX_HEADER_BYTES:
        raise SaveError(
            f"{plan.name}: the header for {len(plan.tensors)} tensors takes {len(text)} bytes; "
            f"readers take at most {MAX_HEADER_BYTES}.",
            hint="Save with a smaller max_shard_size, so that each file holds fewer tensors.",
        )
    return struct.pack("<Q", len(text)) + text


def write_safetensors(
    path: Path,
    plan: FilePlan,
    source: TensorSource,
    *,
    metadata: Mapping[str, str] = HUB_METADATA,
    sync: bool = True,
    progress: Callable[[int], None] | None = None,
    written: Callable[[int], None] | None = None,
    meanwhile: Callable[[], None] | None = None,
) -> None:
    """Write one new file. The source is asked for one tensor at a time, in the order of the plan.

    progress: told how many bytes of tensors were written since it was told before. sync: flush to disk at the end.
    written: told how many bytes are in the file, which has its full length from the beginning.
    meanwhile: called when all is written, while it is flushed; what it raises is raised here.
    Raises SaveError when the file exists or can't be written, and when the source gives too few or too many bytes;
    the file is then incomplete and the caller's to remove.
    """
    header = safetensors_header(plan, metadata)
    size = len(header) + plan.data_bytes
    with OutputFile(path, size=size, sync=sync, copied=progress, written=written, meanwhile=meanwhile) as file:
        file.write(memoryview(header))
        del header  # of many tensors it is long
        for placed in plan.tensors:
            for piece in pieces_of(path, placed.tensor, source(placed.tensor.name)):
                if isinstance(piece, StoredBytes):
                    file.copy(piece)
                    continue
                file.write(piece)
                if progress is not None:
                    progress(piece.nbytes)


def pieces_of(path: Path, tensor: TensorPlan, given: Piece | Iterable[Piece]) -> Iterator[memoryview | StoredBytes]:
    """What a source gives for a tensor: buffers small enough for a progress display, and ranges.

    Raises SaveError when they are not exactly as many bytes as the tensor has. path: the file that is written.
    """
    expected = tensor.nbytes
    total = 0
    for piece in (given,) if isinstance(given, Piece) else given:
        content = piece if isinstance(piece, StoredBytes) else _bytes_of(piece, path, tensor)
        total += content.nbytes
        if total > expected:
            break
        if isinstance(content, StoredBytes):
            yield content
            continue
        for start in range(0, content.nbytes, _PIECE):
            yield content[start : start + _PIECE]
    if total != expected:
        amount = f"at least {total}" if total > expected else f"only {total}"
        raise SaveError(
            f"{shown_path(path)}: tensor {quoted(tensor.name)}: {tensor.dtype.name} of shape {list(tensor.shape)} "
            f"takes {expected} bytes, but its source gave {amount}."
        )


def _bytes_of(buffer: Buffer, path: Path, tensor: TensorPlan) -> memoryview:
    view = memoryview(buffer)
    if view.ndim == 1 and view.itemsize == 1 and view.c_contiguous:
        return view
    if view.nbytes == 0:
        return memoryview(b"")
    try:
        return view.cast("B")
    except (TypeError, ValueError) as error:
        raise SaveError(
            f"{shown_path(path)}: tensor {quoted(tensor.name)}: its source gave a buffer that is not contiguous "
            f"bytes: {error}."
        ) from error


def _checked(metadata: Mapping[str, str]) -> dict[str, str]:
    for key, value in metadata.items():
        for text in (key, value):
            if not isinstance(text, str):
                raise SaveError(f"{METADATA_KEY}: expected strings, found {found(text)} at {quoted(str(key))}.")
            if not is_unicode(text):
                raise SaveError(f"{METADATA_KEY}: half of a surrogate pair, which is no text, stands at {quoted(key)}.")
    return dict(sorted(metadata.items()))
