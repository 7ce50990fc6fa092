"""The safetensors library as an independent oracle, on files that are right, nearly right, and noise."""

from __future__ import annotations

import ctypes
import json
import random
import struct
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
import safetensors
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from zoo.checkpoint import DType, TensorPlan, plan_shards, read_bytes
from zoo.checkpoint.safetensors import open_file
from zoo.checkpoint.writer import write_safetensors
from zoo.errors import CheckpointError

# The examples of one test may share a directory, and a slow disk is no failure.
ON_DISK = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

Tensors = Mapping[str, tuple[DType, tuple[int, ...], bytes]]

# How the library's writer spells the types; of F4 it counts pairs, and for F6 it has no spelling.
SPELLING = {
    DType.BOOL: "bool",
    DType.U8: "uint8",
    DType.I8: "int8",
    DType.F8_E5M2: "float8_e5m2",
    DType.F8_E4M3: "float8_e4m3fn",
    DType.F8_E8M0: "float8_e8m0fnu",
    DType.F8_E4M3FNUZ: "float8_e4m3fnuz",
    DType.F8_E5M2FNUZ: "float8_e5m2fnuz",
    DType.I16: "int16",
    DType.U16: "uint16",
    DType.F16: "float16",
    DType.BF16: "bfloat16",
    DType.I32: "int32",
    DType.U32: "uint32",
    DType.F32: "float32",
    DType.C64: "complex64",
    DType.F64: "float64",
    DType.I64: "int64",
    DType.U64: "uint64",
}

# Any text but what we refuse in names and the library takes (NUL), or can't take (surrogates).
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
NAMES = TEXTS.filter(lambda name: name != "__metadata__")


@st.composite
def tensors(draw: st.DrawFn, dtypes: Iterable[DType] = tuple(DType)) -> Tensors:
    found = {}
    for name in draw(st.lists(NAMES, unique=True, max_size=6)):
        dtype = draw(st.sampled_from(sorted(dtypes, key=lambda dtype: dtype.name)))
        shape = draw(st.lists(st.integers(0, 4), max_size=4))
        if dtype.bits % 8:
            shape.append(4)  # whole bytes
        size = dtype.nbytes(elements_of(shape))
        found[name] = (dtype, tuple(shape), draw(st.randoms(use_true_random=False)).randbytes(size))
    return found


def elements_of(shape: Iterable[int]) -> int:
    elements = 1
    for size in shape:
        elements *= size
    return elements


def write(directory: Path, made: Tensors, metadata: Mapping[str, str], *, seed: int = 0) -> Path:
    path = directory / "ours.safetensors"
    path.unlink(missing_ok=True)
    order = list(made)
    random.Random(seed).shuffle(order)
    plan = plan_shards(TensorPlan(name, made[name][0], made[name][1]) for name in order)
    write_safetensors(path, plan.files[0], lambda name: made[name][2], metadata=metadata, sync=False)
    return path


def read(path: Path) -> dict[str, tuple[str, tuple[int, ...], bytes]]:
    return {
        name: (record.dtype.name, record.shape, b"".join(map(bytes, read_bytes(record, chunk=7))))
        for name, record in open_file(path).items()
    }


def read_by_library(content: bytes) -> dict[str, tuple[str, tuple[int, ...], bytes]]:
    return {
        name: (view["dtype"], tuple(view["shape"]), bytes(view["data"]))
        for name, view in safetensors.deserialize(content)
    }


@given(made=tensors(), metadata=st.dictionaries(TEXTS, TEXTS, max_size=3), seed=st.integers(0, 100))
@ON_DISK
def test_the_library_reads_what_we_write(tmp_path: Path, made: Tensors, metadata: dict[str, str], seed: int) -> None:
    path = write(tmp_path, made, metadata, seed=seed)
    expected = {name: (dtype.name, shape, content) for name, (dtype, shape, content) in made.items()}
    assert read_by_library(path.read_bytes()) == expected
    assert read(path) == expected
    assert open_file(path).metadata == metadata
    for record in open_file(path).values():
        assert record.data.offset % max(1, record.dtype.bits // 8) == 0, "aligned, so that it can be mapped as it is"


# The library writes several metadata keys in an order of its own each time; we sort them.
@given(made=tensors(SPELLING), metadata=st.dictionaries(TEXTS, TEXTS, min_size=1, max_size=1))
@ON_DISK
def test_we_read_what_the_library_writes_and_write_the_same_bytes(
    tmp_path: Path, made: Tensors, metadata: dict[str, str]
) -> None:
    buffers = {name: ctypes.create_string_buffer(content) for name, (_, _, content) in made.items()}
    specs = {
        name: safetensors.TensorSpec(
            dtype=SPELLING[dtype], shape=list(shape), data_ptr=ctypes.addressof(buffers[name]), data_len=len(content)
        )
        for name, (dtype, shape, content) in made.items()
    }
    content = safetensors.serialize(specs, metadata)
    path = tmp_path / "theirs.safetensors"
    path.write_bytes(content)
    assert read(path) == {name: (dtype.name, shape, content) for name, (dtype, shape, content) in made.items()}
    assert write(tmp_path, made, metadata).read_bytes() == content


# Values that stand where others should.
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 70),
    st.sampled_from([2**31, 2**32, 2**62, 2**63, 2**64 - 1, 2**64, 10**30, 0.5, 4.0, -0.0, 1e300, float("nan")]),
    st.text(max_size=3),
    st.lists(st.integers(0, 4), max_size=3),
    st.dictionaries(st.text(max_size=2), st.integers(0, 3), max_size=2),
)
SHAPES = st.lists(st.one_of(st.integers(0, 4), st.integers(0, 4), ODD), max_size=3)
OFFSETS = st.lists(st.one_of(st.integers(0, 16), ODD), max_size=3)
ENTRIES = st.one_of(
    st.fixed_dictionaries(
        {"dtype": st.one_of(st.sampled_from(["U8", "F32", "F4"]), ODD), "shape": SHAPES, "data_offsets": OFFSETS},
        optional={"extra": ODD},
    ),
    st.builds(
        lambda count, begin: {"dtype": "U8", "shape": [count], "data_offsets": [begin, begin + count]},
        st.integers(0, 8),
        st.integers(0, 8),
    ),
    ODD,
)
HEADERS = st.dictionaries(
    st.one_of(st.text(max_size=3), st.just("__metadata__")),
    st.one_of(ENTRIES, st.dictionaries(st.text(max_size=2), st.text(max_size=2), max_size=2)),
    max_size=3,
)


def compare_with_library(path: Path, content: bytes) -> None:
    """What the library refuses we refuse, and with a CheckpointError; what we accept we read as it does."""
    path.write_bytes(content)
    try:
        ours = read(path)
    except CheckpointError:
        return
    assert read_by_library(content) == ours


@given(
    header=HEADERS,
    data=st.binary(max_size=16),
    before=st.sampled_from(["", "", "", " ", "\n", "\ufeff", "["]),
    after=st.sampled_from(["", "", "", "  ", "\n", "\0", "}", ",{}"]),
    off=st.sampled_from([0, 0, 0, 0, 1, -1, 100, 2**40]),
)
@settings(ON_DISK, max_examples=300)
@example({"w": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]}}, b"1234", "", "", 0)
@example({"w": {"dtype": "U8", "shape": [], "data_offsets": [0, 1]}}, b"1", "", " ", 0)
def test_nearly_right_headers(
    tmp_path: Path, header: dict[str, Any], data: bytes, before: str, after: str, off: int
) -> None:
    text = (before + json.dumps(header) + after).encode()
    length = max(0, len(text) + off)
    compare_with_library(tmp_path / "x.safetensors", struct.pack("<Q", length) + text + data)


@given(
    made=tensors(),
    flips=st.lists(st.tuples(st.integers(0, 500), st.integers(0, 255)), max_size=4),
    cut=st.integers(0, 9),
)
@settings(ON_DISK, max_examples=200)
def test_damaged_files(tmp_path: Path, made: Tensors, flips: list[tuple[int, int]], cut: int) -> None:
    content = bytearray(write(tmp_path, made, {"format": "pt"}).read_bytes())
    for position, value in flips:
        content[position % len(content)] = value
    if cut < 4:
        del content[len(content) - cut :]
    compare_with_library(tmp_path / "x.safetensors", bytes(content))


@given(st.binary(max_size=64))
@ON_DISK
def test_noise(tmp_path: Path, content: bytes) -> None:
    compare_with_library(tmp_path / "x.safetensors", content)
    compare_with_library(tmp_path / "x.safetensors", struct.pack("<Q", len(content)) + content)


@pytest.mark.parametrize(
    "header",
    [
        '{"w":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"w":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}',
        ' {"w":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}',
        '{"w":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}\n',
    ],
)
def test_where_the_library_is_lenient_and_the_specification_is_not(tmp_path: Path, header: str) -> None:
    """If this fails because the library has become strict, the comment of our reader can go."""
    content = struct.pack("<Q", len(header)) + header.encode() + b"1234"
    assert read_by_library(content).keys() == {"w"}
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    with pytest.raises(CheckpointError):
        open_file(path)
