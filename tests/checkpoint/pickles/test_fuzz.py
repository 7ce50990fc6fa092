"""Damaged files and noise: only children of CheckpointError may come out, and nothing may be called."""

from __future__ import annotations

import io
import pickletools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from zoo.checkpoint import open_checkpoint, read_bytes
from zoo.checkpoint.pickles import legacy, legacy_tar, torch_zip
from zoo.errors import CheckpointError

ON_DISK = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def saved(value: Any, **options: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer, **options)
    return buffer.getvalue()


VALUE = {
    "weight": torch.arange(6.0).reshape(2, 3),
    "view": torch.arange(6.0).reshape(2, 3).t(),
    "nested": {"list": [torch.ones(1, dtype=torch.uint16), 1.5, "text"], "array": np.arange(3)},
    "parameter": torch.nn.Parameter(torch.ones(2)),
}
SEEDS = [
    saved(VALUE, pickle_protocol=protocol, _use_new_zipfile_serialization=zipped)
    for protocol in (1, 2, 4)
    for zipped in (True, False)
]


def attempt(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    for opener in (open_checkpoint, torch_zip.open_file, legacy.open_file, legacy_tar.open_file):
        try:
            checkpoint = opener(path)
            for record in checkpoint.values():
                if record.nbytes < 2**20:
                    for _ in read_bytes(record):
                        pass
        except CheckpointError:
            pass


@given(
    seed=st.sampled_from(SEEDS),
    flips=st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=6),
    cut=st.integers(0, 400),
)
@settings(ON_DISK, max_examples=400)
def test_damaged_files(tmp_path: Path, seed: bytes, flips: list[tuple[int, int]], cut: int) -> None:
    content = bytearray(seed)
    for position, value in flips:
        content[position % len(content)] = value
    attempt(tmp_path / "x.pt", bytes(content[: len(content) - cut] if cut > 300 else content))


OPCODES = [opcode.code.encode("latin-1") for opcode in pickletools.opcodes]
FRAGMENTS = st.one_of(
    st.sampled_from(OPCODES),
    st.sampled_from(OPCODES),
    st.binary(max_size=3),
    st.sampled_from(
        [
            b"ctorch._utils\n_rebuild_tensor_v2\n",
            b"ctorch\nFloatStorage\n",
            b"ccollections\nOrderedDict\n",
            b"ctorch._tensor\n_rebuild_from_type_v2\n",
            b"cnumpy.core.multiarray\n_reconstruct\n",
            b"cnumpy\ndtype\n",
            b"c_codecs\nencode\n",
            b"cos\nsystem\n",
            b"X\x01\x00\x00\x000",
            b"X\x07\x00\x00\x00storage",
            b"X\x06\x00\x00\x00latin1",
            b"\x8b\x00\x04\x00\x00" + b"\x7f" * 1024,
            b"\x8b\x01\x04\x00\x00" + b"\x7f" * 1025,
            b"L" + b"9" * 1000 + b"L\n",
            b"K\x04",
            b"K\x00",
            b"h\x00",
            b"q\x00",
            b"12\n",
        ]
    ),
)


@given(program=st.lists(FRAGMENTS, max_size=30).map(b"".join))
@settings(ON_DISK, max_examples=500)
def test_programs_of_random_opcodes(tmp_path: Path, program: bytes) -> None:
    attempt(tmp_path / "x.pt", b"\x80\x02" + program + b".")


@given(program=st.lists(FRAGMENTS, max_size=30).map(b"".join))
@settings(ON_DISK, max_examples=200)
def test_programs_of_random_opcodes_in_an_archive(tmp_path: Path, zips: Any, program: bytes) -> None:
    attempt(tmp_path / "x.pt", zips.archive(zips.right(b"\x80\x02" + program + b".")))


@given(content=st.binary(max_size=80), magic=st.sampled_from([b"", b"PK\x03\x04", b"\x80\x02", b"\x80\x04\x95"]))
@settings(ON_DISK, max_examples=200)
def test_noise(tmp_path: Path, content: bytes, magic: bytes) -> None:
    attempt(tmp_path / "x.pt", magic + content)


@pytest.mark.parametrize("seed", range(len(SEEDS)))
def test_the_seeds_are_right(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "x.pt"
    path.write_bytes(SEEDS[seed])
    assert set(open_checkpoint(path)) == {"weight", "view", "nested.list.0", "nested.array", "parameter"}
