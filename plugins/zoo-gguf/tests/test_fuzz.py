"""Whatever the bytes, opening a file ends soon, with a checkpoint or with an error that says why not."""

from __future__ import annotations

import struct
from pathlib import Path

import gguf
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from zoo.errors import CheckpointError, PreprocessorError, ZooError
from zoo_gguf.reader import open_file

SETTINGS = settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])


def open_all(path: Path) -> None:
    """Open the file, and read all that it carries but its tensors."""
    errors: list[ZooError] = []
    try:
        checkpoint = open_file(path)
        dict(checkpoint.metadata)
        for record in checkpoint.values():
            assert record.data.offset + record.data.nbytes <= path.stat().st_size
        for name in checkpoint.side_files.names():
            try:
                checkpoint.side_files.read(name)
            except PreprocessorError as error:
                errors.append(error)
    except CheckpointError as error:
        errors.append(error)
    assert all(str(path) in str(error) for error in errors)


@pytest.fixture
def valid(write_gguf, float_tensor) -> bytes:
    kind = gguf.GGMLQuantizationType.Q8_0
    keys = {
        "general.alignment": 32,
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "smollm",
        "tokenizer.ggml.tokens": ["a", "b", "ab", "<e>"],
        "tokenizer.ggml.token_type": [1, 1, 1, 3],
        "tokenizer.ggml.merges": ["a b"],
        "tokenizer.ggml.eos_token_id": 3,
        "tokenizer.chat_template": "{{ messages }}",
        "flags": [True, False],
    }
    return write_gguf(keys, {"a": float_tensor, "b": (kind, gguf.quantize(float_tensor, kind))}).read_bytes()


@SETTINGS
@given(content=st.binary(max_size=200), version=st.sampled_from([2, 3]), counts=st.tuples(*[st.integers(0, 3)] * 2))
@example(content=b"", version=3, counts=(0, 0))
def test_any_bytes(tmp_path: Path, content: bytes, version: int, counts: tuple[int, int]) -> None:
    path = tmp_path / "fuzz.gguf"
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", version, *counts) + content)
    open_all(path)


@SETTINGS
@given(data=st.data())
def test_a_damaged_file(tmp_path: Path, valid: bytes, data: st.DataObject) -> None:
    """Bytes replaced, put in or taken out: lengths, counts, types, dimensions and offsets of all kinds."""
    content = bytearray(valid)
    header = valid.index(b"flags") + 400
    for _ in range(data.draw(st.integers(1, 3))):
        position = data.draw(st.integers(0, header))
        new = data.draw(
            st.sampled_from([b"", b"\0", b"\xff", b"\x7f", b"\1", b"\x08", b"\x09"]) | st.binary(max_size=8)
        )
        content[position : position + data.draw(st.integers(0, 8))] = new
    path = tmp_path / "fuzz.gguf"
    path.write_bytes(bytes(content[: data.draw(st.none() | st.integers(0, len(content)))]))
    open_all(path)
