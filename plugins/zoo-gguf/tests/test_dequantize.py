from __future__ import annotations

import os
import sys
from pathlib import Path
from types import SimpleNamespace

import gguf
import numpy
import pytest

from zoo.checkpoint.records import EncodedBytes
from zoo.errors import MalformedCheckpoint, UnsupportedFeature
from zoo_gguf.dequantize import CHUNK_BYTES
from zoo_gguf.ggml import GGML_TYPES
from zoo_gguf.reader import open_file

ENCODED = [entry.name for entry in GGML_TYPES.values() if entry.stored_as is None]


def decode(path: Path, name: str = "t") -> bytes:
    data = open_file(path)[name].data
    assert isinstance(data, EncodedBytes)
    return b"".join(data.decode())


def expected(data: numpy.ndarray, kind: gguf.GGMLQuantizationType) -> bytes:
    with numpy.errstate(all="ignore"):
        return gguf.dequantize(data, kind).tobytes()


@pytest.mark.parametrize("name", ENCODED)
def test_any_block_decodes_bit_for_bit_as_in_the_gguf_library(write_gguf, name: str) -> None:
    """Random bytes: every scale there can be, infinite and NaN ones too."""
    kind = gguf.GGMLQuantizationType[name]
    elements, size = gguf.GGML_QUANT_SIZES[kind]
    data = numpy.random.default_rng(1).integers(0, 256, size=(3, 4096 // elements * size), dtype=numpy.uint8)
    assert decode(write_gguf(tensors={"t": (kind, data)})) == expected(data, kind)


@pytest.mark.parametrize("name", ["Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "MXFP4", "TQ1_0", "TQ2_0"])
def test_what_the_gguf_library_quantised_decodes_bit_for_bit(write_gguf, name: str) -> None:
    kind = gguf.GGMLQuantizationType[name]
    floats = numpy.random.default_rng(2).standard_normal((5, 7, 512), dtype=numpy.float32)
    data = gguf.quantize(floats, kind)
    path = write_gguf(tensors={"before": floats[0, 0, :3], "t": (kind, data)})
    assert open_file(path)["t"].shape == (5, 7, 512)
    assert decode(path) == expected(data, kind)


@pytest.mark.parametrize("name", ["Q4_1", "Q6_K"])
def test_chunks_are_bounded_and_of_whole_blocks(write_gguf, name: str) -> None:
    kind = gguf.GGMLQuantizationType[name]
    elements, size = gguf.GGML_QUANT_SIZES[kind]
    row = 3 * 256  # no divisor of a chunk
    count = 2 * CHUNK_BYTES // 4 // row + 5
    data = numpy.random.default_rng(3).integers(0, 120, size=(count, row // elements * size), dtype=numpy.uint8)
    path = write_gguf(tensors={"t": (kind, data)})
    encoded = open_file(path)["t"].data
    assert isinstance(encoded, EncodedBytes)
    chunks = list(encoded.decode())
    lengths = [memoryview(chunk).nbytes for chunk in chunks]
    assert lengths[:-1] == [CHUNK_BYTES] * 2
    assert 0 < lengths[-1] <= CHUNK_BYTES
    assert all(length % (4 * elements) == 0 for length in lengths)
    assert b"".join(chunks) == expected(data, kind)


def test_it_decodes_again_and_again(write_gguf, float_tensor) -> None:
    kind = gguf.GGMLQuantizationType.Q8_0
    encoded = open_file(write_gguf(tensors={"t": (kind, gguf.quantize(float_tensor, kind))}))["t"].data
    assert isinstance(encoded, EncodedBytes)
    assert b"".join(encoded.decode()) == b"".join(encoded.decode())


def test_a_file_cut_after_it_was_opened_is_malformed(write_gguf, float_tensor) -> None:
    kind = gguf.GGMLQuantizationType.Q8_0
    path = write_gguf(tensors={"t": (kind, gguf.quantize(float_tensor, kind))})
    encoded = open_file(path)["t"].data
    assert isinstance(encoded, EncodedBytes)
    os.truncate(path, encoded.offset + 100)
    with pytest.raises(MalformedCheckpoint, match=rf"tensor 't' .* the file ends at {encoded.offset + 100}"):
        b"".join(encoded.decode())


def test_a_type_that_the_installed_library_lacks_says_what_to_install(
    write_gguf, float_tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = gguf.GGMLQuantizationType.Q8_0
    path = write_gguf(tensors={"t": (kind, gguf.quantize(float_tensor, kind))})
    monkeypatch.setitem(sys.modules, "gguf", SimpleNamespace(quants=SimpleNamespace()))
    with pytest.raises(UnsupportedFeature, match=r"tensor 't' is of type Q8_0.*\n.*pip install --upgrade gguf"):
        decode(path)
