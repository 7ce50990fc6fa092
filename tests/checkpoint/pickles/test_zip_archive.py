"""Archives that two readers could read in two ways are refused; those that torch writes are not."""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from zoo.checkpoint import StoredBytes, open_checkpoint, select_tensors
from zoo.checkpoint.pickles.zip_archive import check_entries
from zoo.checkpoint.regular_file import read_up_to
from zoo.errors import CheckpointError, MalformedCheckpoint, UnknownFormat, UnsupportedFeature


def change(index: int, **what: object) -> Callable[[SimpleNamespace], bytes]:
    """A right archive, but for fields of one entry."""

    def build(zips: SimpleNamespace) -> bytes:
        entries = zips.right()
        for name, value in what.items():
            setattr(entries[index], name, value)
        return zips.archive(entries)

    return build


def add(*extra: tuple[bytes, bytes]) -> Callable[[SimpleNamespace], bytes]:
    """A right archive with more entries."""
    return lambda zips: zips.archive([*zips.right(), *(zips.Entry(name, content) for name, content in extra)])


def whole(**what: object) -> Callable[[SimpleNamespace], bytes]:
    """Right entries, archived wrongly."""
    return lambda zips: zips.archive(zips.right(), **what)


FLOATS = struct.pack("<4f", 1, 2, 3, 4)
DEFLATED = zlib.compress(FLOATS)[2:-4]
CRC = zlib.crc32(FLOATS)

ATTACKS: dict[str, Callable[[SimpleNamespace], bytes]] = {
    "flags of encryption": change(2, flags=0x809),
    "flags of patches": change(2, flags=0x828),
    "strong encryption": change(2, flags=0x848),
    "flags that disagree": change(2, local={"flags": 0x800}),
    "another method in its own header": change(2, local={"method": 8}),
    "another name in its own header": change(2, local={"name": b"m/data/1"}),
    "a longer name in its own header": change(2, local={"name": b"m/data/0/x"}),
    "another name in the directory": change(2, central={"name": b"m/data/1"}),
    "another CRC in its own header": change(2, local={"crc": 1}),
    "another size in its own header": change(2, local={"size": 1}),
    "another CRC in the directory": change(2, central={"crc": 1}),
    "a smaller size in the directory": change(2, central={"size": 12, "unpacked": 12}),
    "a larger size in the directory": change(2, central={"size": 20, "unpacked": 20}),
    "a huge size in the directory": change(2, central={"size": 0xFFFFFFF0, "unpacked": 0xFFFFFFF0}),
    "zip64 sizes without a field": change(2, central={"size": 0xFFFFFFFF, "unpacked": 0xFFFFFFFF}),
    "stored, but smaller than what it holds": change(2, central={"size": 16, "unpacked": 2**30}),
    "a zip bomb": change(2, method=8, content=DEFLATED, central={"unpacked": 2**31}),
    "another volume": change(2, central={"disk": 1}),
    "an offset into another entry": change(2, central={"offset": 0}),
    "an offset past the end": change(2, central={"offset": 2**31}),
    "no descriptor": change(2, descriptor=b""),
    "half a descriptor": change(2, descriptor=struct.pack("<4sI", b"PK\x07\x08", CRC)),
    "a descriptor of another entry": change(2, descriptor=struct.pack("<4s3I", b"PK\x07\x08", 7, 16, 16)),
    "a descriptor with other bytes before it": change(2, descriptor=b"xxxxPK\x07\x08" + struct.pack("<I", CRC)),
    "a gap before an entry": change(2, gap=b"hidden"),
    "a gap without descriptors": lambda zips: zips.archive(
        [*zips.right()[:3], zips.Entry(b"m/version", b"3\n", flags=0x800, gap=b"\0")]
    ),
    "something before the archive": whole(before=b"PK\x03\x04 and a payload"),
    "something between the entries and the directory": whole(between=b"hidden"),
    "something after the archive": whole(after=b"\0"),
    "another archive after the archive": lambda zips: zips.archive(zips.right()) + zips.archive(zips.right()),
    "an end record inside a comment": lambda zips: zips.archive(zips.right(), comment=zips.archive(zips.right())[-22:]),
    "a comment": whole(comment=b"made by hand"),
    "a comment that is announced": lambda zips: zips.archive(zips.right())[:-2] + b"\x05\x00",
    "fewer entries than the directory has": whole(count=3),
    "more entries than the directory has": whole(count=5),
    "no entries": lambda zips: zips.archive([]),
    "several volumes": whole(end={"disk": 1}),
    "a directory elsewhere": whole(end={"begin": 5}),
    "a directory of 4 GB": whole(end={"length": 0xFFFFFFF0}),
    "two pickles": add((b"m/data.pkl", b"\x80\x02N.")),
    "two pickles that differ in case": add((b"m/DATA.pkl", b"\x80\x02N.")),
    "a name that leads out": add((b"m/../../evil", b"")),
    "an absolute name": add((b"/etc/passwd", b"")),
    "a name with NUL": add((b"m/x\0.pkl", b"")),
    "the pickle in another folder": lambda zips: zips.archive([zips.Entry(b"first/version", b"3\n"), *zips.right()]),
    "a compressed pickle": change(0, method=8, content=zlib.compress(b"\x80\x02N.")[2:-4], central={"unpacked": 4}),
    "a compressed storage": change(
        2,
        method=8,
        content=DEFLATED,
        central={"unpacked": 16, "crc": CRC},
        descriptor=struct.pack("<4s3I", b"PK\x07\x08", CRC, len(DEFLATED), 16),
    ),
    "a missing storage": lambda zips: zips.archive([entry for entry in zips.right() if b"data/" not in entry.name]),
    "an unknown byte order": change(1, content=b"middle"),
    "no end record": lambda zips: zips.archive(zips.right())[:-22],
    "only the magic": lambda zips: b"PK\x03\x04",
    "an empty archive's end record": lambda zips: b"PK\x05\x06" + bytes(18),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_ambiguous_archives_are_refused(zips: SimpleNamespace, tmp_path: Path, attack: str) -> None:
    path = tmp_path / "x.pt"
    path.write_bytes(ATTACKS[attack](zips))
    with pytest.raises(CheckpointError) as caught:
        open_checkpoint(path)
    assert str(path) in str(caught.value)


def test_the_archive_they_are_made_from_is_right(zips: SimpleNamespace, tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    path.write_bytes(zips.archive(zips.right()))
    checkpoint = open_checkpoint(path)
    assert checkpoint["weight"].shape == (4,)
    assert torch.load(path, weights_only=True)["weight"].tolist() == [1, 2, 3, 4]
    assert check_entries(path) == ((), ())


def test_entries_without_descriptors_and_without_signatures(zips: SimpleNamespace, tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    entries = zips.right()
    for entry in entries[:2]:
        entry.flags = 0x800
    entries[2].descriptor = struct.pack("<3I", CRC, 16, 16)
    path.write_bytes(zips.archive(entries))
    assert list(open_checkpoint(path)) == ["weight"]


@pytest.mark.parametrize("length", range(0, 400, 7))
def test_truncated_files(zips: SimpleNamespace, tmp_path: Path, length: int) -> None:
    path = tmp_path / "x.pt"
    content = zips.archive(zips.right())
    path.write_bytes(content[: len(content) - 1 - length])
    with pytest.raises(CheckpointError):
        open_checkpoint(path)


def test_a_pickle_with_an_archive_behind_it_is_a_pickle(
    asm: SimpleNamespace, zips: SimpleNamespace, tmp_path: Path
) -> None:
    """Python's zipfile finds the archive, torch reads the pickle: the first bytes decide."""
    path = tmp_path / "x.pt"
    program = b"\x80\x02" + asm.mapping((asm.text("name"), asm.text("the pickle"))) + b"."
    path.write_bytes(program + zips.archive(zips.right()))
    assert zipfile.is_zipfile(path)
    with pytest.raises(CheckpointError, match="holds no tensors"):
        select_tensors(open_checkpoint(path))


def test_other_archives_are_named_for_what_they_are(tmp_path: Path) -> None:
    path = tmp_path / "arrays.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("weight.npy", b"\x93NUMPY")
    with pytest.raises(UnknownFormat, match=r"none of torch's.*'weight.npy'"):
        open_checkpoint(path)


def test_exported_programs_are_named_for_what_they_are(tmp_path: Path) -> None:
    path = tmp_path / "program.pt2"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("program/archive_format", b"pt2")
        archive.writestr("program/data/weights/weight_0", b"")
    with pytest.raises(UnsupportedFeature, match=r"torch\.export"):
        open_checkpoint(path)


@pytest.fixture
def crc_off() -> Iterator[None]:
    torch.serialization.set_crc32_options(False)
    yield
    torch.serialization.set_crc32_options(True)


@pytest.mark.usefixtures("crc_off")
def test_crcs_that_torch_was_told_not_to_write_are_a_warning(tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    torch.save({"weight": torch.ones(3)}, path)
    checkpoint = open_checkpoint(path)
    assert list(checkpoint) == ["weight"]
    assert any("CRC" in warning for warning in checkpoint.warnings)
    problems, notes = check_entries(path)
    assert problems == ()
    assert ["write no CRCs" in note for note in notes] == [True]


def test_damaged_data_are_found_by_their_crc(tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    torch.save({"weight": torch.ones(300)}, path)
    data = open_checkpoint(path)["weight"].data
    assert isinstance(data, StoredBytes)
    content = bytearray(path.read_bytes())
    content[data.offset + 7] ^= 1
    path.write_bytes(content)
    assert open_checkpoint(path).warnings == ()
    (problem,), notes = check_entries(path)
    assert "data/0" in problem
    assert notes == ()


def test_one_crc_that_is_missing_is_a_mismatch(zips: SimpleNamespace, tmp_path: Path) -> None:
    """Else an altered entry would only have to have its own CRC cleared."""
    path = tmp_path / "x.pt"
    entries = zips.right()
    for entry in entries[1:]:
        entry.flags = 0
        entry.local["crc"] = entry.central["crc"] = 0
    path.write_bytes(zips.archive(entries))
    problems, notes = check_entries(path)
    assert len(problems) == 3
    assert notes == ()


def test_files_of_more_than_four_gigabytes(tmp_path: Path) -> None:
    """Their sizes and offsets stand in zip64 fields. skip_data leaves a hole where the elements would be."""
    path = tmp_path / "x.pt"
    tensors = {
        "a": torch.empty(5 * 2**30, dtype=torch.uint8, device="meta"),
        "b": torch.empty(3, dtype=torch.float64, device="meta"),
    }
    with torch.serialization.skip_data():
        torch.save({name: torch.empty_like(value, device="cpu") for name, value in tensors.items()}, path)
    checkpoint = open_checkpoint(path)
    assert checkpoint["a"].nbytes == 5 * 2**30
    assert checkpoint["b"].data.offset > 5 * 2**30
    assert checkpoint["b"].shape == (3,)


@pytest.mark.parametrize("size", [1, 0xFFFF, 0x10000])
def test_many_entries(tmp_path: Path, size: int) -> None:
    """Beyond 65535 entries their number is in the zip64 end record."""
    path = tmp_path / "x.pt"
    torch.save([torch.zeros(1) for _ in range(size)], path)
    assert len(open_checkpoint(path)) == size


def test_an_archive_that_becomes_shorter_while_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.pt"
    torch.save({"a": torch.ones(3)}, path)
    directory = path.read_bytes().index(b"PK\x01\x02")
    cut = path.read_bytes().index(b"PK\x07\x08") + 4

    def read(descriptor: int, length: int, offset: int, path: Path) -> bytes:
        content = read_up_to(descriptor, length, offset, path)
        return content if offset >= directory else content[: max(0, cut - offset)]

    monkeypatch.setattr("zoo.checkpoint.pickles.zip_archive.read_up_to", read)
    with pytest.raises(MalformedCheckpoint, match="shorter"):
        open_checkpoint(path)
