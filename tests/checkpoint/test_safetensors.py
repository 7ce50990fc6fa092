from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from zoo.checkpoint import DType
from zoo.checkpoint.safetensors import open_file, read_header
from zoo.errors import CheckpointError, MalformedCheckpoint

WriteRaw = Callable[..., Path]


def entry(dtype: Any = "U8", shape: Any = (4,), offsets: Any = (0, 4)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


def raw_entry(shape: str = "[4]", offsets: str = "[0,4]", dtype: str = '"U8"') -> str:
    return f'{{"w":{{"dtype":{dtype},"shape":{shape},"data_offsets":{offsets}}}}}'


def test_records_say_where_the_bytes_are(write_raw: WriteRaw) -> None:
    header = {
        "__metadata__": {"format": "pt", "note": "é"},
        "second": entry("BF16", [2, 1], [8, 12]),
        "first": entry("F64", [], [0, 8]),
    }
    path = write_raw(header, b"12345678abcd")
    checkpoint = open_file(path)
    assert checkpoint.format == "safetensors"
    assert checkpoint.metadata == {"format": "pt", "note": "é"}
    assert list(checkpoint) == ["first", "second"], "in the order of their bytes"
    second = checkpoint["second"]
    assert (second.dtype, second.shape, second.nbytes) == (DType.BF16, (2, 1), 4)
    content = path.read_bytes()
    assert content[second.data.offset : second.data.offset + second.data.nbytes] == b"abcd"
    assert checkpoint.side_files.names() == ("model.safetensors",)


@pytest.mark.parametrize("dtype", list(DType), ids=lambda dtype: dtype.name)
def test_reads_every_dtype(write_raw: WriteRaw, dtype: DType) -> None:
    size = dtype.nbytes(8)
    record = open_file(write_raw({"w": entry(dtype.name, [2, 4], [0, size])}, bytes(size)))["w"]
    assert (record.dtype, record.shape, record.nbytes) == (dtype, (2, 4), size)


ACCEPTED: dict[str, tuple[str, int]] = {
    "no tensors": ("{}", 0),
    "spaces after the header": (raw_entry() + "     ", 4),
    "white space inside": (raw_entry().replace(",", " ,\n\t").replace(":", " : "), 4),
    "fields in another order": ('{"w":{"data_offsets":[0,4],"shape":[4],"dtype":"U8"}}', 4),
    "zero elements": (raw_entry("[0,7]", "[0,0]"), 0),
    "an empty tensor at the border of two others": (
        json.dumps({"b": entry(offsets=[4, 8]), "empty": entry(shape=[0], offsets=[4, 4]), "a": entry()}),
        8,
    ),
    "the largest rank": (raw_entry(json.dumps([1] * 64), "[0,1]"), 1),
    "a name like a path": (raw_entry().replace('"w"', '"../../etc/passwd"'), 4),
    "a name of control characters": (raw_entry().replace('"w"', '"\\u001b[31m\\n"'), 4),
    "an empty name": (raw_entry().replace('"w"', '""'), 4),
    "a character beyond the basic plane, escaped": (raw_entry().replace('"w"', '"\\ud83d\\ude00"'), 4),
}


@pytest.mark.parametrize(("header", "size"), ACCEPTED.values(), ids=ACCEPTED)
def test_accepts_what_is_odd_but_allowed(write_raw: WriteRaw, header: str, size: int) -> None:
    path = write_raw(header, bytes(size))
    assert read_header(path).records.keys() == json.loads(header).keys()


def two(first: Any, second: Any) -> str:
    return json.dumps({"a": first, "b": second})


# header, bytes of data, and what the message must say. Data begin at byte 8 + len(header).
REFUSED: dict[str, tuple[str | bytes, int, list[str]]] = {
    "leading whitespace": (" " + raw_entry(), 4, ["begins with b' {\"w'", "byte 8", "'{'"]),
    "a byte order mark": ("\ufeff" + raw_entry(), 4, ["begins with b'\\xef\\xbb\\xbf{'", "byte 8"]),
    "an array": ("[]", 0, ["begins with b'[]'"]),
    "a newline after the header": (raw_entry() + "\n", 4, ["ends with b'\\n'", f"byte {8 + len(raw_entry())}"]),
    "NULs after the header": (raw_entry() + "\0\0", 4, ["ends with b'\\x00'", "nothing but spaces"]),
    "two objects": ("{}{}", 0, ["not valid JSON", "byte 10"]),
    "not UTF-8": (b'{"\xff\xfe":1}', 0, ["not UTF-8", "byte 10"]),
    "a surrogate in UTF-8": ('{"\ud800":1}', 0, ["not UTF-8", "byte 10"]),
    "broken JSON": ('{"é":}', 0, ["not valid JSON", "byte 14"]),
    "a raw control character": ('{"a\nb":1}', 0, ["not valid JSON", "control character"]),
    "a comment": ('{"a":1/**/}', 0, ["not valid JSON"]),
    "deep nesting": ('{"a":' + "[" * 100_000 + "]" * 100_000 + "}", 0, ["nested too deeply"]),
    "a number of 5000 digits": (raw_entry("[" + "9" * 5000 + "]"), 4, ["number of absurd length"]),
    "a tensor twice": ('{"w":' + json.dumps(entry()) + ',"w":' + json.dumps(entry()) + "}", 4, ["key 'w' twice"]),
    "a field twice": (
        '{"w":{"dtype":"U8","dtype":"U8","shape":[4],"data_offsets":[0,4]}}',
        4,
        ["'dtype' stands twice"],
    ),
    "metadata twice": ('{"__metadata__":{},"__metadata__":{}}', 0, ["key '__metadata__' twice"]),
    "a metadata key twice": ('{"__metadata__":{"k":"1","k":"2"}}', 0, ["__metadata__", "key 'k' twice"]),
    "metadata that is an array": ('{"__metadata__":[]}', 0, ["__metadata__", "object", "found the array []"]),
    "metadata of null": ('{"__metadata__":null}', 0, ["__metadata__", "object", "found null"]),
    "a metadata number": ('{"__metadata__":{"k":1}}', 0, ["__metadata__", "'k'", "string", "found the integer 1"]),
    "a lone surrogate in metadata": ('{"__metadata__":{"k":"\\udc00"}}', 0, ["__metadata__", "'k'", "surrogate"]),
    "an unknown field": (
        '{"w":{"dtype":"U8","shape":[4],"data_offsets":[0,4],"strides":[1]}}',
        4,
        ["'w'", "field 'strides' is unknown", "data_offsets, dtype, shape"],
    ),
    "a missing field": ('{"w":{"dtype":"U8","data_offsets":[0,4]}}', 4, ["'w'", "field 'shape' is missing"]),
    "a tensor that is no object": ('{"w":[1,2]}', 0, ["'w'", "expected an object", "found the array [1, 2]"]),
    "an unknown dtype": (raw_entry(dtype='"F128"'), 4, ["'w'", "'dtype'", "F128", "BF16"]),
    "a dtype in lower case": (raw_entry(dtype='"u8"'), 4, ["'w'", "'dtype'", "'u8'"]),
    "a dtype that is an array": (raw_entry(dtype='["U8"]'), 4, ["'w'", "'dtype'", "the array ['U8']"]),
    "a negative dimension": (raw_entry("[-4]"), 4, ["'w'", "'shape'", "at least 0", "the integer -4"]),
    "two negative dimensions": (raw_entry("[-2,-2]"), 4, ["'w'", "'shape'", "the integer -2"]),
    "a fractional dimension": (raw_entry("[4.0]"), 4, ["'w'", "'shape'", "the number 4.0"]),
    "a dimension in powers of ten": (raw_entry("[4e0]"), 4, ["'w'", "'shape'", "the number 4.0"]),
    "minus zero": (raw_entry("[-0]", "[0,0]"), 0, ["'w'", "'shape'", "the number -0.0"]),
    "not a number": (raw_entry("[NaN]"), 4, ["'w'", "'shape'", "the number nan"]),
    "an infinite dimension": (raw_entry("[Infinity]"), 4, ["'w'", "'shape'", "the number inf"]),
    "a boolean dimension": (raw_entry("[4,true]"), 4, ["'w'", "'shape'", "the boolean True"]),
    "a dimension in quotes": (raw_entry('["4"]'), 4, ["'w'", "'shape'", "the string '4'"]),
    "a shape that is a number": (raw_entry("4"), 4, ["'w'", "'shape'", "expected an array", "the integer 4"]),
    "a shape of null": (raw_entry("null"), 4, ["'w'", "'shape'", "found null"]),
    "rank 65": (raw_entry(json.dumps([1] * 65), "[0,1]"), 1, ["'w'", "65 dimensions", "64"]),
    "rank 100000": (raw_entry(json.dumps([1] * 100_000), "[0,1]"), 1, ["'w'", "100000 dimensions"]),
    "an empty tensor that overflows": (raw_entry("[0,9223372036854775808]", "[0,0]"), 0, ["'w'", "overflows"]),
    "an overflow that wraps to the right size": (
        raw_entry("[4294967296,4294967296,4294967296]", "[0,0]"),
        0,
        ["'w'", "overflows"],
    ),
    "an overflow in bytes alone": (raw_entry("[2305843009213693952]", "[0,0]", '"F64"'), 0, ["'w'", "overflows"]),
    "three offsets": (raw_entry(offsets="[0,4,8]"), 4, ["'w'", "'data_offsets'", "begin and an end"]),
    "a negative offset": (raw_entry(offsets="[-4,0]"), 4, ["'w'", "'data_offsets'", "the integer -4"]),
    "a fractional offset": (raw_entry(offsets="[0,4.5]"), 4, ["'w'", "'data_offsets'", "the number 4.5"]),
    "offsets that run backwards": (raw_entry(offsets="[4,0]"), 4, ["'w'", "bytes 4..0", "-4 bytes"]),
    "offsets near 2^64": (raw_entry(offsets="[18446744073709551612,18446744073709551616]"), 4, ["'w'", "no tensor"]),
    "too few bytes for the shape": (raw_entry("[5]"), 4, ["'w'", "bytes 0..4", "U8 of shape [5] takes 5"]),
    "too many bytes for the shape": (raw_entry("[3]"), 4, ["'w'", "bytes 0..4", "U8 of shape [3] takes 3"]),
    "a scalar of too many bytes": (raw_entry("[]"), 4, ["'w'", "shape [] takes 1"]),
    "half a byte": (raw_entry("[3]", "[0,2]", '"F4"'), 2, ["'w'", "3 elements of 4 bits", "whole bytes"]),
    "F6 that ends within a byte": (raw_entry("[2]", "[0,2]", '"F6_E2M3"'), 2, ["'w'", "2 elements of 6 bits"]),
    "F4 counted as bytes": (raw_entry("[4]", "[0,4]", '"F4"'), 4, ["'w'", "F4 of shape [4] takes 2"]),
    "a NUL in a name": (raw_entry().replace('"w"', '"w\\u0000v"'), 4, ["'w\\x00v'", "NUL"]),
    "a lone surrogate in a name": (raw_entry().replace('"w"', '"w\\ud800"'), 4, ["'w\\ud800'", "surrogate"]),
}


@pytest.mark.parametrize(("header", "size", "said"), REFUSED.values(), ids=REFUSED)
def test_refuses_what_the_specification_forbids(
    write_raw: WriteRaw, header: str | bytes, size: int, said: list[str]
) -> None:
    path = write_raw(header, bytes(size))
    with pytest.raises(MalformedCheckpoint) as raised:
        open_file(path)
    assert str(raised.value).startswith(str(path)), "the file is named first"
    for fact in said:
        assert fact in str(raised.value)
    assert len(str(raised.value)) < 2000


# Bytes counted from the end of the header, which `at` shifts to where they are in the file.
MISPLACED: dict[str, tuple[str, int, Callable[[int], list[str]]]] = {
    "a hole at the beginning": (
        raw_entry(offsets="[4,8]"),
        8,
        lambda at: ["'w'", f"spans bytes {at + 4}..{at + 8}", f"ends at {at};", "the 4 bytes between"],
    ),
    "a hole between": (
        two(entry(), entry(offsets=[6, 10])),
        10,
        lambda at: ["'b'", f"spans bytes {at + 6}..{at + 10}", f"ends at {at + 4};", "the 2 bytes between"],
    ),
    "an overlap": (
        two(entry(), entry(offsets=[2, 6])),
        6,
        lambda at: ["'b'", f"{at + 2}..{at + 6}", "overlap", f"{at}..{at + 4} of 'a'"],
    ),
    "two names for the same bytes": (
        two(entry(), entry()),
        4,
        lambda at: ["'b'", f"{at}..{at + 4}", "the same as", "of 'a'", "must not share"],
    ),
    "trailing bytes": (raw_entry(), 7, lambda at: [f"end at byte {at + 4}", f"ends at {at + 7}", "the last 3 bytes"]),
    "trailing bytes and no tensor": ("{}", 3, lambda at: [f"end at byte {at}", f"ends at {at + 3}"]),
    "truncation within a tensor": (
        two(entry(), entry(offsets=[4, 8])),
        6,
        lambda at: ["'b'", f"spans bytes {at + 4}..{at + 8}", f"the file ends at {at + 6}", "truncated"],
    ),
    "truncation before the data": (raw_entry(), 0, lambda at: ["'w'", f"{at}..{at + 4}", f"ends at {at}"]),
    "a size far past the end": (
        raw_entry("[1099511627776]", "[0,1099511627776]"),
        4,
        lambda at: ["'w'", f"{at}..{at + 2**40}", f"ends at {at + 4}", "truncated"],
    ),
}


@pytest.mark.parametrize(("header", "size", "said"), MISPLACED.values(), ids=MISPLACED)
def test_every_byte_belongs_to_one_tensor(
    write_raw: WriteRaw, header: str, size: int, said: Callable[[int], list[str]]
) -> None:
    path = write_raw(header, bytes(size))
    with pytest.raises(MalformedCheckpoint) as raised:
        open_file(path)
    for fact in [str(path), *said(8 + len(header))]:
        assert fact in str(raised.value)


def test_the_header_must_lie_inside_the_file(write_raw: WriteRaw) -> None:
    path = write_raw("{}", length=100)
    with pytest.raises(MalformedCheckpoint, match=r"header spans bytes 8\.\.108, but the file ends at 10"):
        open_file(path)


@pytest.mark.parametrize("length", [100_000_001, 2**63, 2**64 - 1])
def test_the_header_has_a_longest_length(write_raw: WriteRaw, length: int) -> None:
    path = write_raw("{}", length=length)
    os.truncate(path, 200_000_000)
    with pytest.raises(MalformedCheckpoint, match=f"header of {length} bytes; at most 100000000"):
        open_file(path)


@pytest.mark.parametrize("length", [0, 1])
def test_the_header_has_a_shortest_length(write_raw: WriteRaw, length: int) -> None:
    with pytest.raises(MalformedCheckpoint, match=f"header of {length} bytes"):
        open_file(write_raw("{}", length=length))


@pytest.mark.parametrize("size", [0, 7])
def test_a_file_without_room_for_the_length(tmp_path: Path, size: int) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(bytes(size))
    with pytest.raises(MalformedCheckpoint, match=f"{size} bytes long"):
        open_file(path)


@pytest.mark.parametrize(
    ("content", "hint"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "git lfs pull"),
        (b"PK\x03\x04" + bytes(60), "zip archive"),
        (b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.", "pickle"),
        (b"<!doctype html><html>sign in</html>", "web page"),
    ],
    ids=["LFS pointer", "zip", "pickle", "HTML"],
)
def test_an_impostor_is_recognised(tmp_path: Path, content: bytes, hint: str) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(MalformedCheckpoint, match=hint):
        open_file(path)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"absent\.safetensors: no such file"):
        open_file(tmp_path / "absent.safetensors")


def test_a_file_that_shrinks_while_its_header_is_read(write_raw: WriteRaw, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_raw(raw_entry(), bytes(4))
    pread = os.pread

    def shrinking(descriptor: int, length: int, offset: int) -> bytes:
        if offset:
            os.truncate(path, 20)
        return pread(descriptor, length, offset)

    monkeypatch.setattr(os, "pread", shrinking)
    with pytest.raises(MalformedCheckpoint, match="became shorter"):
        open_file(path)
