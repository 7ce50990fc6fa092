from __future__ import annotations

import os
import struct
import tracemalloc
from pathlib import Path
from typing import Any

import gguf
import numpy
import pytest

from zoo.errors import MalformedCheckpoint, UnsupportedFeature
from zoo_gguf.header import Header, read_header

STRING, ARRAY, BOOL, U32, U8 = 8, 9, 7, 4, 0


def u64(value: int) -> bytes:
    return struct.pack("<Q", value)


def array(item_type: int, count: int, content: bytes = b"") -> bytes:
    return struct.pack("<IQ", item_type, count) + content


def assert_like_the_gguf_library(header: Header) -> None:
    """Every key-value and every tensor, field for field."""
    theirs = gguf.GGUFReader(header.path)
    fields = {name: field for name, field in theirs.fields.items() if not name.startswith("GGUF.")}
    assert list(header.metadata) == list(fields)
    assert header.version == theirs.fields["GGUF.version"].contents()
    for name, field in fields.items():
        expected: Any = field.contents()
        assert header.metadata[name] == (tuple(expected) if isinstance(expected, list) else expected), name
    assert len(header.tensors) == len(theirs.tensors)
    for ours, tensor in zip(header.tensors, theirs.tensors, strict=True):
        assert (ours.name, ours.type.name) == (tensor.name, tensor.tensor_type.name)
        assert ours.shape == tuple(reversed(tensor.shape.tolist()))
        assert (ours.offset, ours.nbytes) == (tensor.data_offset, tensor.n_bytes)


@pytest.fixture
def everything(write_gguf, float_tensor) -> Path:
    """A file with every type of key-value and several types of tensor."""

    def fill(writer: gguf.GGUFWriter) -> None:
        writer.add_uint8("n.u8", 255)
        writer.add_int8("n.i8", -128)
        writer.add_uint16("n.u16", 65535)
        writer.add_int16("n.i16", -32768)
        writer.add_uint32("n.u32", 2**32 - 1)
        writer.add_int32("n.i32", -(2**31))
        writer.add_uint64("n.u64", 2**64 - 1)
        writer.add_int64("n.i64", -(2**63))
        writer.add_float32("n.f32", 0.1)
        writer.add_float64("n.f64", 0.1)
        writer.add_bool("n.true", True)
        writer.add_bool("n.false", False)
        writer.add_string("text", "naïve 日本語\n\0")
        writer.add_string("text.none", "")
        for kind in gguf.GGUFValueType:
            if kind.name.startswith(("UINT", "INT")):
                writer.add_key_value(f"a.{kind.name}", [1, 2, 3], gguf.GGUFValueType.ARRAY, sub_type=kind)
        writer.add_array("a.f32", [0.5, -1.25])
        writer.add_key_value("a.f64", [0.1], gguf.GGUFValueType.ARRAY, sub_type=gguf.GGUFValueType.FLOAT64)
        writer.add_array("a.bool", [True, False, True])
        writer.add_array("a.string", ["", "a", "日本語", "x" * 5000])

    tensors = {
        "norm.weight": float_tensor[0],
        "half.weight": float_tensor.astype(numpy.float16),
        "double.weight": float_tensor.astype(numpy.float64).reshape(2, 4, 4, 16),
        "bytes": numpy.arange(5, dtype=numpy.int8),
        "shorts": numpy.arange(5, dtype=numpy.int16),
        "ints": numpy.arange(5, dtype=numpy.int32),
        "longs": numpy.arange(5, dtype=numpy.int64),
        "q8.weight": (gguf.GGMLQuantizationType.Q8_0, gguf.quantize(float_tensor, gguf.GGMLQuantizationType.Q8_0)),
        "bf16.weight": (gguf.GGMLQuantizationType.BF16, gguf.quantize(float_tensor, gguf.GGMLQuantizationType.BF16)),
    }
    return write_gguf(tensors=tensors, fill=fill)


def test_every_type_is_read_as_the_gguf_library_reads_it(everything: Path) -> None:
    assert_like_the_gguf_library(read_header(everything))


def test_values_are_plain_python(everything: Path) -> None:
    metadata = read_header(everything).metadata
    assert metadata["n.true"] is True
    assert type(metadata["n.u8"]) is int
    assert metadata["a.bool"] == (True, False, True)
    assert type(metadata["a.bool"][0]) is bool
    assert metadata["text"] == "naïve 日本語\n\0"
    assert metadata.get("absent") is None
    assert "a.string" in metadata
    assert "absent" not in metadata


@pytest.mark.real
def test_the_real_file_is_read_as_the_gguf_library_reads_it(smollm2_gguf: Path) -> None:
    assert_like_the_gguf_library(read_header(smollm2_gguf))


def test_another_alignment_is_honoured(write_gguf, float_tensor) -> None:
    path = write_gguf(
        tensors={"a": float_tensor[:, :3], "b": float_tensor}, fill=lambda w: w.add_custom_alignment(1024)
    )
    header = read_header(path)
    assert [tensor.offset % 1024 for tensor in header.tensors] == [0, 0]
    assert_like_the_gguf_library(header)


def test_version_2_is_read(raw_gguf) -> None:
    header = read_header(raw_gguf([("key", U32, struct.pack("<I", 7))], version=2))
    assert (header.version, dict(header.metadata)) == (2, {"key": 7})


def test_arrays_of_arrays_are_tuples_of_tuples(raw_gguf) -> None:
    inner = array(STRING, 1, u64(1) + b"a") + array(U8, 2, b"\1\2") + array(ARRAY, 1, array(U8, 0))
    header = read_header(raw_gguf([("key", ARRAY, array(ARRAY, 3, inner))]))
    assert header.metadata["key"] == (("a",), (1, 2), ((),))


def test_a_scalar_and_an_empty_tensor_are_fine(raw_gguf) -> None:
    path = raw_gguf(tensors=[("scalar", [], 0, 0), ("none", [4, 0], 0, 0)], data=b"\0\0\x80\x3f")
    scalar, none = read_header(path).tensors
    assert (scalar.shape, scalar.nbytes) == ((), 4)
    assert (none.shape, none.nbytes) == ((0, 4), 0)


@pytest.mark.parametrize(
    ("version", "reason"), [(1, "version 1"), (4, "version 4"), (0x03000000, "big-endian"), (0x02000000, "big-endian")]
)
def test_other_versions_are_refused_with_the_reason(raw_gguf, version: int, reason: str) -> None:
    with pytest.raises(UnsupportedFeature, match=reason):
        read_header(raw_gguf(version=version))


def test_an_unknown_tensor_type_is_refused_by_name(raw_gguf) -> None:
    with pytest.raises(UnsupportedFeature, match=r"tensor 'odd\.weight' is of ggml type 99"):
        read_header(raw_gguf(tensors=[("odd.weight", [32], 99, 0)], data=bytes(64)))
    with pytest.raises(UnsupportedFeature, match=r"tensor 'odd\.weight' is of ggml type 4 \(Q4_2"):
        read_header(raw_gguf(tensors=[("odd.weight", [32], 4, 0)], data=bytes(64)))


def test_a_file_cut_in_its_tensors_names_tensor_bytes_and_mend(everything: Path) -> None:
    size = everything.stat().st_size
    last = max(read_header(everything).tensors, key=lambda tensor: tensor.offset)
    os.truncate(everything, last.offset + 1)
    with pytest.raises(MalformedCheckpoint) as caught:
        read_header(everything)
    assert f"tensor '{last.name}' ({last.type.name}, shape {list(last.shape)})" in str(caught.value)
    assert f"spans bytes {last.offset}..{last.offset + last.nbytes}" in str(caught.value)
    assert f"the file ends at {last.offset + 1}" in str(caught.value)
    assert str(everything) in str(caught.value)
    assert "get it again" in str(caught.value)
    assert size > last.offset


def test_a_file_cut_anywhere_is_malformed(write_gguf, float_tensor) -> None:
    whole = write_gguf({"a": [1, 2], "b": ["x", "yy"], "c": "text"}, {"t": float_tensor[:1, :4]}).read_bytes()
    end = whole.index(float_tensor[:1, :4].tobytes()) + 16
    path = write_gguf(name="cut.gguf")
    for length in range(end):
        path.write_bytes(whole[:length])
        with pytest.raises(MalformedCheckpoint, match=r"the file ends at|found"):
            read_header(path)
    path.write_bytes(whole[:end])
    assert read_header(path).tensors[0].name == "t"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"magic": b"GGML"}, "found b'GGML'"),
        ({"version": 0}, "the version: found 0"),
        ({"key_count": 2**64 - 1}, "number of key-values: found"),
        ({"tensor_count": 2**64 - 1}, "the list of tensors: it has"),
        ({"tensor_count": 1000}, "the list of tensors: it lies at"),
        ({"key_count": 1, "tail": u64(2**63)}, "string of 9223372036854775808 bytes"),
        ({"keys": [("", U32, b"\0" * 4)]}, "it is empty"),
        ({"keys": [("k", U32, b"\0" * 4)] * 2}, "key 'k': it is there twice"),
        ({"keys": [(b"\xff", U32, b"\0" * 4)]}, "not UTF-8"),
        ({"keys": [("k", STRING, u64(1) + b"\xff")]}, "key 'k': it is not UTF-8"),
        ({"keys": [("k", STRING, u64(2**40))]}, "key 'k': it lies at bytes"),
        ({"keys": [("k", 13, b"")]}, "key 'k': found value type 13"),
        ({"keys": [("k", BOOL, b"\2")]}, "key 'k': found a boolean of value 2"),
        ({"keys": [("k", ARRAY, array(13, 0))]}, "key 'k': found an array of value type 13"),
        ({"keys": [("k", ARRAY, array(U32, 2**62))]}, "key 'k': an array of"),
        ({"keys": [("k", ARRAY, array(U32, 2**20))]}, "key 'k': it lies at bytes"),
        ({"keys": [("k", ARRAY, array(STRING, 2**20))]}, "key 'k': it lies at bytes"),
        ({"keys": [("k", ARRAY, array(STRING, 2, u64(2**60)) + bytes(64))]}, "key 'k': it lies at bytes"),
        ({"keys": [("k", ARRAY, array(ARRAY, 1) * 5)]}, "key 'k': its arrays are nested deeper"),
        ({"keys": [("general.alignment", U32, struct.pack("<I", 0))]}, "found 0; a power of two"),
        ({"keys": [("general.alignment", U32, struct.pack("<I", 48))]}, "found 48; a power of two"),
        ({"keys": [("general.alignment", STRING, u64(2) + b"32")]}, "found '32'; a power of two"),
        ({"tensors": [("t", [1], 0, 0)] * 2, "data": bytes(64)}, "tensor 't': there are two tensors of this name"),
        ({"tensors": [("t" * 2000, [1], 0, 0)], "data": bytes(64)}, "string of 2000 bytes"),
        ({"tensors": [("t", [1] * 5, 0, 0)], "data": bytes(64)}, "tensor 't': it has 5 dimensions"),
        ({"tensors": [("t", [2**63, 0], 0, 0)], "data": bytes(64)}, "tensor 't': its shape"),
        ({"tensors": [("t", [2**32, 2**31], 0, 0)], "data": bytes(64)}, "tensor 't': its shape"),
        ({"tensors": [("t", [33], 8, 0)], "data": bytes(64)}, "tensor 't': its rows have 33 elements; Q8_0 takes"),
        ({"tensors": [("t", [16, 2], 8, 0)], "data": bytes(64)}, "tensor 't': its rows have 16 elements"),
        ({"tensors": [("t", [], 8, 0)], "data": bytes(64)}, "tensor 't': its rows have 1 elements"),
        ({"tensors": [("t", [1], 0, 4)], "data": bytes(64)}, "begins at 4, which is not a multiple"),
        ({"tensors": [("t", [1], 0, 2**64 - 32)], "data": bytes(64)}, "tensor 't' .* the file ends at"),
        ({"tensors": [("t", [2**40], 0, 0)], "data": bytes(64)}, "tensor 't' .* the file ends at"),
        (
            {"tensors": [("a", [9], 0, 32), ("b", [9], 0, 0)], "data": bytes(128)},
            r"tensor 'a': its data begins at byte \d+, inside that of 'b'",
        ),
        (
            {"tensors": [("a", [4], 0, 0), ("b", [4], 0, 0)], "data": bytes(128)},
            r"tensor 'b': its data begins at byte \d+, inside that of 'a'",
        ),
    ],
)
def test_what_breaks_the_specification_is_malformed(raw_gguf, arguments: dict[str, Any], message: str) -> None:
    path = raw_gguf(**arguments)
    with pytest.raises(MalformedCheckpoint, match=message) as caught:
        read_header(path)
    assert str(path) in str(caught.value)


def test_strings_of_arrays_are_checked_when_they_are_asked_for(raw_gguf) -> None:
    metadata = read_header(
        raw_gguf(
            [
                ("strings", ARRAY, array(STRING, 2, u64(1) + b"a" + u64(1) + b"\xff")),
                ("flags", ARRAY, array(BOOL, 2, b"\1\2")),
            ]
        )
    ).metadata
    with pytest.raises(MalformedCheckpoint, match="key 'strings': string 1 is not UTF-8"):
        metadata["strings"]
    with pytest.raises(MalformedCheckpoint, match="key 'flags': it holds a boolean that is neither"):
        metadata["flags"]


def test_claims_allocate_nothing(raw_gguf) -> None:
    claims = [
        raw_gguf([("k", STRING, u64(2**33))]),
        raw_gguf([("k", ARRAY, array(STRING, 2**20))]),
        raw_gguf(tensors=[("t", [2**33], 0, 0)]),
    ]
    tracemalloc.start()
    try:
        for path in claims:
            with pytest.raises(MalformedCheckpoint):
                read_header(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2**20


def test_a_header_that_is_really_as_long_as_it_claims_is_refused_unread(raw_gguf) -> None:
    path = raw_gguf([("k", STRING, u64(2**30))])
    os.truncate(path, 2**31)  # sparse: it takes no space
    tracemalloc.start()
    try:
        with pytest.raises(MalformedCheckpoint, match="beyond the 67108864 bytes that a header may take"):
            read_header(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2**20


def test_a_header_longer_than_one_read_is_read(write_gguf, float_tensor) -> None:
    words = [f"word number {index}" for index in range(60_000)]
    path = write_gguf({"before": 1, "words": words, "after": "end"}, {"t": float_tensor})
    header = read_header(path)
    assert header.metadata["words"] == tuple(words)
    assert header.metadata["after"] == "end"
    assert header.tensors[0].shape == (2, 256)
