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
from zoo.checkpoint.rules import MAX_HEADER_BYTES, METADATA_KEY, is_unicode
from zoo.errors import SaveError

__all__ = ["HUB_METADATA", "TensorSource", "safetensors_header", "write_safetensors"]

TensorSource: TypeAlias = Callable[[str], Buffer | Iterable[Buffer]]
"""Given a tensor's name, its elements, row-major and little-endian, in one buffer or in several in order."""

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
) -> None:
    """Write one new file. The source is asked for one tensor at a time, in the order of the plan.

    progress: told how many bytes of tensors were written since it was told before. sync: flush to disk at the end.
    Raises SaveError when the file exists or can't be written, and when the source gives too few or too many bytes;
    the file is then incomplete and the caller's to remove.
    """
    header = safetensors_header(plan, metadata)
    with OutputFile(path, size=len(header) + plan.data_bytes, sync=sync) as file:
        file.write(memoryview(header))
        for placed in plan.tensors:
            for piece in _pieces(path, placed.tensor, source(placed.tensor.name)):
                file.write(piece)
                if progress is not None:
                    progress(piece.nbytes)


def _pieces(path: Path, tensor: TensorPlan, buffers: Buffer | Iterable[Buffer]) -> Iterator[memoryview]:
    """The bytes of a tensor in pieces small enough for a progress display, and exactly as many as it has."""
    expected = tensor.nbytes
    given = 0
    for buffer in (buffers,) if isinstance(buffers, Buffer) else buffers:
        view = _bytes_of(buffer, path, tensor)
        given += view.nbytes
        if given > expected:
            break
        for start in range(0, view.nbytes, _PIECE):
            yield view[start : start + _PIECE]
    if given != expected:
        amount = f"at least {given}" if given > expected else f"only {given}"
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
