from __future__ import annotations

from pathlib import Path

import gguf
import numpy
import pytest

from zoo.checkpoint.dtypes import DType
from zoo.checkpoint.records import EncodedBytes, StoredBytes
from zoo.errors import CheckpointError, MalformedCheckpoint
from zoo_gguf.reader import open_file


@pytest.mark.parametrize("kind", ["float16", "float32", "float64", "int8", "int16", "int32", "int64"])
def test_plain_types_are_stored_row_major(write_gguf, kind: str) -> None:
    array = numpy.arange(24).reshape(2, 3, 4).astype(kind)
    path = write_gguf(tensors={"other": array[0], "t": array})
    record = open_file(path)["t"]
    assert record.shape == (2, 3, 4)
    assert record.dtype.bits == array.dtype.itemsize * 8
    assert isinstance(record.data, StoredBytes)
    assert path.read_bytes()[record.data.offset :][: record.data.nbytes] == array.tobytes()


def test_bfloat16_is_stored(write_gguf, float_tensor) -> None:
    kind = gguf.GGMLQuantizationType.BF16
    path = write_gguf(tensors={"t": (kind, gguf.quantize(float_tensor, kind))})
    record = open_file(path)["t"]
    assert (record.dtype, record.shape) == (DType.BF16, (2, 256))
    assert isinstance(record.data, StoredBytes)
    words = numpy.fromfile(path, "<u2", count=512, offset=record.data.offset).astype(numpy.uint32) << 16
    assert numpy.abs(words.view(numpy.float32).reshape(2, 256) - float_tensor).max() < 0.02


def test_blocks_are_encoded_and_decode_to_float32(write_gguf, float_tensor) -> None:
    kind = gguf.GGMLQuantizationType.Q8_0
    path = write_gguf(tensors={"t": (kind, gguf.quantize(float_tensor, kind))})
    record = open_file(path)["t"]
    assert (record.dtype, record.shape, record.nbytes) == (DType.F32, (2, 256), 2048)
    assert isinstance(record.data, EncodedBytes)
    assert (record.data.encoding, record.data.nbytes) == ("Q8_0", 544)
    decoded = numpy.frombuffer(b"".join(record.data.decode()), dtype="<f4").reshape(2, 256)
    assert numpy.abs(decoded - float_tensor).max() < 0.02


def test_tensors_keep_the_order_of_the_file(write_gguf, float_tensor) -> None:
    checkpoint = open_file(write_gguf(tensors={"z": float_tensor, "a": float_tensor, "m": float_tensor}))
    assert list(checkpoint) == ["z", "a", "m"]
    assert checkpoint.metadata["general.architecture"] == "llama"
    assert checkpoint.side_files.names() == ()


def test_what_is_no_file_is_an_error_of_zoo(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such file"):
        open_file(tmp_path / "absent.gguf")
    with pytest.raises(CheckpointError, match="is a directory"):
        open_file(tmp_path)
    (tmp_path / "empty.gguf").touch()
    with pytest.raises(MalformedCheckpoint, match="the file ends at 0"):
        open_file(tmp_path / "empty.gguf")
