"""Files made by hand, byte by byte, and small saves to write over each other."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

WriteRaw = Callable[..., Path]


@pytest.fixture
def write_raw(tmp_path: Path) -> WriteRaw:
    """Write a file of a length, a header (text, bytes or something for JSON) and data, right or wrong."""

    def write(
        header: str | bytes | Mapping[str, Any],
        data: bytes = b"",
        *,
        length: int | None = None,
        name: str = "model.safetensors",
    ) -> Path:
        if isinstance(header, Mapping):
            header = json.dumps(header)
        if isinstance(header, str):
            header = header.encode("utf-8", "surrogatepass")
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(struct.pack("<Q", len(header) if length is None else length) + header + data)
        return path

    return write


@pytest.fixture
def write_tensors(write_raw: WriteRaw) -> WriteRaw:
    """Write a well-formed file of one-dimensional U8 tensors, from name -> bytes."""

    def write(
        tensors: Mapping[str, bytes], *, name: str = "model.safetensors", metadata: dict[str, str] | None = None
    ) -> Path:
        header: dict[str, Any] = {} if metadata is None else {"__metadata__": metadata}
        data = b""
        for tensor, content in tensors.items():
            end = len(data) + len(content)
            header[tensor] = {"dtype": "U8", "shape": [len(content)], "data_offsets": [len(data), end]}
            data += content
        return write_raw(header, data, name=name)

    return write


@pytest.fixture
def write_torch(tmp_path: Path) -> WriteRaw:
    """Let torch write U8 tensors, from name -> bytes. inside: the key of the training checkpoint that they are in."""
    import torch

    def write(
        tensors: Mapping[str, bytes],
        *,
        name: str = "pytorch_model.bin",
        legacy: bool = False,
        inside: str | None = None,
    ) -> Path:
        state: dict[str, Any] = {
            key: torch.frombuffer(bytearray(value), dtype=torch.uint8) for key, value in tensors.items()
        }
        if inside is not None:
            state = {inside: state, "epoch": 1}
        torch.save(state, tmp_path / name, _use_new_zipfile_serialization=not legacy)
        return tmp_path / name

    return write
