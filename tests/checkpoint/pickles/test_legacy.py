"""What torch wrote before 1.6: files of pickles and storages in a row, and tar archives before them."""

from __future__ import annotations

import io
import pickle
import struct
import tarfile
import warnings
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from zoo.checkpoint import open_checkpoint, read_bytes
from zoo.checkpoint.records import StridedBytes
from zoo.errors import CheckpointError, UnknownFormat

MAGIC = 0x1950A86A20F9469CFC6C


def elements(path: Path) -> dict[str, bytes]:
    return {name: b"".join(map(bytes, read_bytes(record))) for name, record in open_checkpoint(path).items()}


def legacy(tmp_path: Path) -> tuple[Path, bytes]:
    path = tmp_path / "x.pth"
    state = OrderedDict(weight=torch.arange(6.0).reshape(2, 3), bias=torch.ones(2), count=torch.tensor(3))
    torch.save(state, path, _use_new_zipfile_serialization=False)
    return path, path.read_bytes()


@pytest.mark.parametrize("protocols", [(2, 2), (1, 2), (0, 2), (4, 2), (2, 4), (5, 3)])
def test_protocols_may_differ_within_a_file(tmp_path: Path, protocols: tuple[int, int]) -> None:
    """The pickles around the object may be of other protocols than the object itself."""
    outer, inner = protocols
    path = tmp_path / "x.pth"
    torch.save({"w": torch.arange(3.0)}, path, _use_new_zipfile_serialization=False, pickle_protocol=inner)
    file = io.BytesIO(path.read_bytes())
    for _ in range(3):
        pickle.load(file)
    object_begin = file.tell()
    made = b"".join(pickle.dumps(part, protocol=outer) for part in (MAGIC, 1001, {"little_endian": True}))
    path.write_bytes(made + path.read_bytes()[object_begin:])
    assert elements(path) == {"w": torch.arange(3.0).numpy().tobytes()}
    assert torch.load(path, weights_only=False)["w"].tolist() == [0, 1, 2]


def test_objects_longer_than_the_window(tmp_path: Path) -> None:
    path = tmp_path / "x.pth"
    state = {f"{'layer' * 20}.{number}": torch.full((3,), float(number)) for number in range(12_000)}
    torch.save(state, path, _use_new_zipfile_serialization=False)
    read = elements(path)
    assert list(read) == list(state)
    assert all(read[name] == tensor.numpy().tobytes() for name, tensor in state.items())


@pytest.mark.parametrize("cut", [1, 7, 8, 20, 40, 60, 100, 300])
def test_truncated_files(tmp_path: Path, cut: int) -> None:
    path, content = legacy(tmp_path)
    path.write_bytes(content[:-cut])
    with pytest.raises(CheckpointError):
        open_checkpoint(path)


def test_trailing_bytes(tmp_path: Path) -> None:
    path, content = legacy(tmp_path)
    path.write_bytes(content + b"\0")
    with pytest.raises(CheckpointError, match="last 1 bytes"):
        open_checkpoint(path)


def test_storages_of_another_size_than_the_tensors_say(tmp_path: Path) -> None:
    path, content = legacy(tmp_path)
    at = content.rindex(struct.pack("<q6f", 6, *range(6)))
    for count in (5, 7, -1, 2**62):
        path.write_bytes(content[:at] + struct.pack("<q", count) + content[at + 8 :])
        with pytest.raises(CheckpointError, match="elements"):
            open_checkpoint(path)


def test_views_of_storages_as_torch_0_1_wrote_them(tmp_path: Path, asm: SimpleNamespace) -> None:
    """The sixth part of a persistent id: (key, first element, elements)."""
    path = tmp_path / "x.pth"
    view = asm.tuple_(asm.text("0v"), asm.integer(1), asm.integer(3))
    held = (
        asm.tuple_(
            asm.text("storage"),
            asm.global_("torch", "FloatStorage"),
            asm.text("0"),
            asm.text("cpu"),
            asm.integer(4),
            view,
        )
        + b"Q"
    )
    outer = b"\x80\x02" + asm.mapping((asm.text("w"), asm.tensor((3,), held=held))) + b"."
    made = b"".join(pickle.dumps(part, protocol=2) for part in (MAGIC, 1001, {}))
    path.write_bytes(made + outer + pickle.dumps(["0"], protocol=2) + struct.pack("<q4f", 4, 1, 2, 3, 4))
    assert torch.load(path, weights_only=False)["w"].tolist() == [2, 3, 4]
    assert elements(path) == {"w": struct.pack("<3f", 2, 3, 4)}
    outside = made + outer.replace(asm.integer(1) + asm.integer(3), asm.integer(2) + asm.integer(3))
    path.write_bytes(outside + pickle.dumps(["0"], protocol=2) + struct.pack("<q4f", 4, 1, 2, 3, 4))
    with pytest.raises(CheckpointError):
        open_checkpoint(path)


def test_tensors_whose_state_is_set(write_program: Callable[..., Path], asm: SimpleNamespace) -> None:
    """torch 0.1: a class that is made empty, and given (storage, offset, size, stride)."""
    state = asm.tuple_(asm.storage(), asm.integer(1), asm.tuple_(asm.integer(3)), asm.tuple_(asm.integer(1)))
    program = asm.mapping((asm.text("w"), asm.global_("torch", "FloatTensor") + b")\x81" + state + b"b"))
    path = write_program(program, container="legacy")
    assert elements(path) == {"w": struct.pack("<3f", 2, 3, 4)}


def tar(path: Path, *, pax: bool = True, change: Callable[[dict[str, bytes]], None] = lambda members: None) -> None:
    """An archive as torch 0.1 wrote it: two storages, one of them a view; tensors; a pickle that refers to them."""

    class Reference:
        def __init__(self, key: int) -> None:
            self.key = key

    class Pickler(pickle.Pickler):
        def persistent_id(self, obj: Any) -> Any:
            return str(obj.key) if isinstance(obj, Reference) else None

    storages = b"".join(
        (
            pickle.dumps(1, protocol=2),
            b"\x80\x02(K\x01X\x03\x00\x00\x00cpuctorch\nFloatStorage\nt.",
            struct.pack("<q6f", 6, *range(6)),
            pickle.dumps([(2, 1, 2, 4)], protocol=2),
        )
    )
    kind = b"ctorch\nFloatTensor\n"
    tensors = b"".join(
        (
            pickle.dumps(2, protocol=2),
            b"\x80\x02(K\x0bK\x01" + kind + b"t.",
            struct.pack("<i4x2q2qq", 2, 3, 2, 1, 3, 0),
            b"\x80\x02(K\x0cK\x02" + kind + b"t.",
            struct.pack("<i4x1q1qq", 1, 3, 1, 1),
        )
    )
    buffer = io.BytesIO()
    Pickler(buffer, protocol=2).dump(OrderedDict(weight=Reference(11), bias=Reference(12)))
    members = {
        "sys_info": pickle.dumps({}, protocol=2),
        "pickle": buffer.getvalue(),
        "tensors": tensors,
        "storages": storages,
    }
    change(members)
    with tarfile.open(path, "w:", format=tarfile.PAX_FORMAT) as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            member.mtime = 1.5 if pax else 1  # fractions of a second go into a pax header of their own
            archive.addfile(member, io.BytesIO(content))


@pytest.mark.parametrize("pax", [True, False])
def test_tar_archives(tmp_path: Path, pax: bool) -> None:
    path = tmp_path / "x.pth.tar"
    tar(path, pax=pax)
    checkpoint = open_checkpoint(path)
    assert checkpoint.format == "torch-tar"
    assert isinstance(checkpoint["weight"].data, StridedBytes)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tarfile's own about its filters
        loaded = torch.load(path, weights_only=False)
    assert elements(path) == {name: tensor.contiguous().numpy().tobytes() for name, tensor in loaded.items()}
    assert checkpoint["weight"].shape == (3, 2)


def test_other_tar_archives_are_named_for_what_they_are(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    with tarfile.open(path, "w") as archive:
        member = tarfile.TarInfo("model.pth")
        archive.addfile(member, io.BytesIO())
    with pytest.raises(UnknownFormat, match=r"none of torch's.*'model.pth'"):
        open_checkpoint(path)


def test_an_archive_that_is_a_tar_too_is_what_torch_takes_it_for(tmp_path: Path, zips: SimpleNamespace) -> None:
    """A zip whose first 512 bytes are also the header of a tar: its first four bytes decide."""
    inner = tmp_path / "inner.tar"
    tar(inner, pax=False)
    content = inner.read_bytes()
    entries = zips.right()
    header = bytearray(content[:512])
    hidden = zips.Entry(b"m/hidden", bytes(header[30 + len(b"m/hidden") :]) + content[512:], flags=0x800)
    made = bytearray(zips.archive([hidden, *entries]))
    made[148:156] = b" " * 8
    checksum = sum(made[:512])
    made[148:156] = b"%06o\0 " % checksum
    start = 30 + len(b"m/hidden")
    content_size = len(hidden.content)
    hidden.content = bytes(made[start : start + content_size])
    path = tmp_path / "x.pt"
    path.write_bytes(zips.archive([hidden, *entries]))
    assert path.read_bytes()[257:262] == b"ustar"
    assert list(torch.load(path, weights_only=True)) == ["weight"]
    assert open_checkpoint(path).format == "torch"
    assert list(open_checkpoint(path)) == ["weight"]


def test_a_pickle_with_the_magic_of_a_tar_in_it_is_a_pickle(tmp_path: Path) -> None:
    path = tmp_path / "x.pth"
    for fill in range(300):
        torch.save({"x" * fill + "ustar": torch.ones(2)}, path, _use_new_zipfile_serialization=False)
        if path.read_bytes()[257:262] == b"ustar":
            break
    assert path.read_bytes()[257:262] == b"ustar"
    assert open_checkpoint(path).format == "torch-legacy"


TAR_ATTACKS: dict[str, Callable[[dict[str, bytes]], None]] = {
    "a storage past the end": lambda members: members.update(
        storages=members["storages"].replace(struct.pack("<q", 6), struct.pack("<q", 600))
    ),
    "a storage of negative size": lambda members: members.update(
        storages=members["storages"].replace(struct.pack("<q", 6), struct.pack("<q", -6))
    ),
    "a view past the end": lambda members: members.update(
        storages=members["storages"].replace(pickle.dumps([(2, 1, 2, 4)], 2), pickle.dumps([(2, 1, 3, 4)], 2))
    ),
    "a tensor past the end": lambda members: members.update(
        tensors=members["tensors"].replace(struct.pack("<i4x1q1qq", 1, 3, 1, 1), struct.pack("<i4x1q1qq", 1, 3, 1, 2))
    ),
    "a rank of 2^31 - 1": lambda members: members.update(
        tensors=members["tensors"].replace(struct.pack("<i4x1q", 1, 3), struct.pack("<i4x1q", 2**31 - 1, 3))
    ),
    "a count of a billion": lambda members: members.update(tensors=pickle.dumps(10**9, 2) + members["tensors"][5:]),
    "no storages": lambda members: members.update(storages=b""),
    "another key": lambda members: members.update(pickle=members["pickle"].replace(b"11", b"99")),
    "a call in the tensors": lambda members: members.update(tensors=b"\x80\x02cos\ngetcwd\n)R."),
}


@pytest.mark.parametrize("attack", TAR_ATTACKS)
def test_broken_tar_archives(tmp_path: Path, attack: str) -> None:
    path = tmp_path / "x.tar"
    tar(path, change=TAR_ATTACKS[attack])
    with pytest.raises(CheckpointError):
        open_checkpoint(path)


@pytest.mark.parametrize("position", [130, 150, 156, 257])
def test_damaged_tar_headers(tmp_path: Path, position: int) -> None:
    path = tmp_path / "x.tar"
    tar(path, pax=False)
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError):
        open_checkpoint(path)


def test_two_members_of_one_name(tmp_path: Path) -> None:
    """tarfile takes the last one; a reader that takes the first sees another checkpoint."""
    path = tmp_path / "x.tar"
    tar(path)
    with tarfile.open(path, "a:") as archive:
        member = tarfile.TarInfo("storages")
        archive.addfile(member, io.BytesIO())
    with pytest.raises(CheckpointError, match="two members"):
        open_checkpoint(path)
