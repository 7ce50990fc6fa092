"""Zip archives as torch writes them, read strictly: APPNOTE.TXT, less everything that two readers could read two ways.

Entries are stored back to back from the first byte of the file on, then comes the directory, then the end records, then
nothing. What the directory says of an entry, its own header and its data descriptor say as well.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from operator import itemgetter
from pathlib import Path
from typing import Final, NamedTuple, NoReturn, TypeAlias
from zlib import crc32

from zoo.checkpoint.describe import quoted, shown_path
from zoo.checkpoint.regular_file import open_regular, read_up_to
from zoo.errors import MalformedCheckpoint, UnsupportedFeature

__all__ = ["MAGIC", "EntriesCheck", "Entry", "ZipArchive", "check_entries", "read_archive"]

MAGIC: Final = b"PK\x03\x04"

_STORED = 0
_ENCRYPTED = 1
_DESCRIPTOR = 1 << 3
_KNOWN_FLAGS = _DESCRIPTOR | 1 << 11

# Without versions, times and attributes.
_LOCAL = struct.Struct("<4s2x2H4x3I2H")
_CENTRAL = struct.Struct("<4s4x2H4x3I4H6xI")
_END = struct.Struct("<4s4H2IH")
_END64 = struct.Struct("<4sQ2H2I4Q")
_LOCATOR = struct.Struct("<4sIQI")
_DESCRIPTORS = {
    16: (struct.Struct("<4s3I"), True),
    24: (struct.Struct("<4sI2Q"), True),
    12: (struct.Struct("<3I"), False),
    20: (struct.Struct("<I2Q"), False),
}

_FULL16 = 0xFFFF
_FULL32 = 0xFFFFFFFF
_ZIP64 = 1
_MOST_ENTRIES = 4_000_000
_LARGEST_DIRECTORY = 2**30
_PAGE = 4096
_CHUNK = 2**20
_GET_AGAIN = "The file is truncated; get it again from where it came from."


class Entry(NamedTuple):
    """An entry. offset: where its contents begin in the file. size: bytes stored. crc: of what it unpacks to."""

    name: str
    offset: int
    size: int
    crc: int
    stored: bool


class ZipArchive(NamedTuple):
    """entries: by name, in the order of the directory. folder: the one that torch looks in, with its slash."""

    path: Path
    entries: dict[str, Entry]
    folder: str

    def find(self, name: str) -> Entry | None:
        """The entry of that name in the folder."""
        return self.entries.get(self.folder + name)

    def require(self, name: str) -> Entry:
        """The same, which must be there and not compressed."""
        entry = self.find(name)
        if entry is None:
            raise MalformedCheckpoint(f"{shown_path(self.path)}: the archive holds no {quoted(self.folder + name)}.")
        if not entry.stored:
            raise UnsupportedFeature(
                f"{shown_path(self.path)}: entry {quoted(entry.name)} is compressed; torch never does that.",
                hint="The archive was packed again by another program. Unpack it, then `zip -0 -r` its folder.",
            )
        return entry


_Listed: TypeAlias = tuple[bytes, int, int, int, int, int, int]
"""An entry as the directory has it: name, place of its header, size stored, size unpacked, CRC, flags, method."""

_place = itemgetter(1)


def read_archive(path: Path, descriptor: int, size: int) -> ZipArchive:
    """Read the directory of an archive and compare all of it with the entries' own headers.

    Raises MalformedCheckpoint for what breaks the specification or is ambiguous, UnsupportedFeature for encryption.
    """
    reader = _Reader(path, descriptor, size)
    try:
        return _compared(reader)
    except struct.error:
        reader.fail("the file became shorter while it was read", _GET_AGAIN)


def _compared(reader: _Reader) -> ZipArchive:
    listed, directory = _directory(reader)
    if not listed:
        reader.fail("the archive is empty")
    by_place = sorted(listed, key=_place)
    if _place(by_place[0]):
        reader.fail(f"the first entry begins at byte {_place(by_place[0])}; something stands before the archive")
    ends = [_place(entry) for entry in by_place[1:]]
    ends.append(directory)
    offsets = {_place(entry): _check_local(reader, entry, end) for entry, end in zip(by_place, ends, strict=True)}
    entries: dict[str, Entry] = {}
    for raw_name, header, size, _, crc, _, method in listed:
        name = _name(reader, raw_name)
        entries[name] = Entry(name, offsets[header], size, crc, method == _STORED)
    # torch looks entries up without regard to case.
    if len(entries) < len(listed) or len({raw_name.lower() for raw_name, *_ in listed}) < len(listed):
        reader.fail(f"two entries are named {quoted(_twice(reader, listed))}")
    first = next(iter(entries))
    return ZipArchive(reader.path, entries, first[: first.find("/") + 1])


class EntriesCheck(NamedTuple):
    """problems: what does not agree. notes: what could not be checked. In words."""

    problems: tuple[str, ...]
    notes: tuple[str, ...] = ()


def check_entries(path: Path) -> EntriesCheck:
    """Compare every stored entry with its CRC, reading all of the archive.

    torch can be told to write none; all of them are 0 then, and nothing of the contents is checked.
    """
    with open_regular(path) as (descriptor, size):
        archive = read_archive(path, descriptor, size)
        if all(not entry.crc for entry in archive.entries.values()):
            return EntriesCheck((), ("torch was told to write no CRCs, so that damage to its contents can't be seen",))
        return EntriesCheck(
            tuple(
                f"{quoted(entry.name)}: its CRC is {found:08x}, but the archive says {entry.crc:08x}"
                for entry in archive.entries.values()
                if entry.stored and (found := entry_crc(path, descriptor, entry)) != entry.crc
            )
        )


def entry_crc(path: Path, descriptor: int, entry: Entry) -> int:
    """The CRC of a stored entry's contents."""
    value = 0
    for position in range(entry.offset, entry.offset + entry.size, _CHUNK):
        length = min(_CHUNK, entry.offset + entry.size - position)
        part = read_up_to(descriptor, length, position, path)
        if len(part) < length:
            raise MalformedCheckpoint(
                f"{shown_path(path)} became shorter while {quoted(entry.name)} was read.", hint=_GET_AGAIN
            )
        value = crc32(part, value)
    return value


class _Reader:
    """Small reads all over a file; neighbours come from one page."""

    def __init__(self, path: Path, descriptor: int, size: int) -> None:
        self.path = path
        self.descriptor = descriptor
        self.size = size
        self._begin = 0
        self._page = b""

    def page(self, offset: int, length: int) -> tuple[bytes, int]:
        """Bytes that hold a part of the file, and where in them it begins; it is cut short only at the file's end."""
        start = offset - self._begin
        if start < 0 or start + length > len(self._page):
            self._page = read_up_to(self.descriptor, max(_PAGE, length), offset, self.path)
            self._begin, start = offset, 0
        return self._page, start

    def at(self, offset: int, length: int) -> bytes:
        """Bytes of the file, fewer only at its end."""
        page, start = self.page(offset, length)
        return page[start : start + length]

    def error(self, problem: str, hint: str | None = None) -> MalformedCheckpoint:
        return MalformedCheckpoint(f"{shown_path(self.path)}: {problem}.", hint=hint)

    def fail(self, problem: str, hint: str | None = None) -> NoReturn:
        raise self.error(problem, hint)


def _directory(reader: _Reader) -> tuple[list[_Listed], int]:
    """The entries as the directory lists them, and where the directory begins."""
    end = reader.at(reader.size - _END.size, _END.size) if reader.size >= _END.size else b""
    if len(end) < _END.size or not end.startswith(b"PK\x05\x06"):
        reader.fail(
            "it begins like a zip archive, but the last 22 bytes are not the end record of one",
            hint="The file is truncated, or something was appended to it; get it again from where it came from.",
        )
    _, disk, start_disk, here, total, length, begin, comment = _END.unpack(end)
    last = reader.size - _END.size
    if comment:
        reader.fail(f"the end record announces a comment of {comment} bytes, but the file ends here")
    locator_at = last - _LOCATOR.size
    locator = reader.at(locator_at, _LOCATOR.size) if locator_at >= 0 else b""
    if locator.startswith(b"PK\x06\x07"):
        _, locator_disk, end64_at, disks = _LOCATOR.unpack(locator)
        if locator_disk or disks != 1 or end64_at + _END64.size != locator_at:
            reader.fail("its zip64 end record is not where its locator says, or it is one of several volumes")
        _, record, _, _, disk64, start_disk64, here64, total64, length64, begin64 = _END64.unpack(
            reader.at(end64_at, _END64.size)
        )
        if reader.at(end64_at, 4) != b"PK\x06\x06" or record != _END64.size - 12:
            reader.fail(f"no zip64 end record stands at byte {end64_at}")
        for short, long, full in (
            (disk, disk64, _FULL16),
            (start_disk, start_disk64, _FULL16),
            (here, here64, _FULL16),
            (total, total64, _FULL16),
            (length, length64, _FULL32),
            (begin, begin64, _FULL32),
        ):
            if short != long and short != full:
                reader.fail(f"its two end records disagree: {short} and {long}")
        disk, start_disk, here, total, length, begin = disk64, start_disk64, here64, total64, length64, begin64
        last = end64_at
    if disk or start_disk or here != total:
        reader.fail("it is one of several volumes")
    if total > _MOST_ENTRIES or length > _LARGEST_DIRECTORY:
        reader.fail(f"its directory has {total} entries in {length} bytes, more than any checkpoint")
    if begin + length != last:
        reader.fail(f"its directory spans bytes {begin}..{begin + length}, but the end record begins at {last}")
    content = read_up_to(reader.descriptor, length, begin, reader.path)
    listed = list(_listed(reader, content, total))
    return listed, begin


def _listed(reader: _Reader, content: bytes, total: int) -> Iterator[_Listed]:
    position = 0
    unpack = _CENTRAL.unpack_from
    for number in range(total):
        if position + _CENTRAL.size > len(content):
            reader.fail(f"its directory is cut short in entry {number} of {total}")
        (
            magic, flags, method, crc, size, unpacked, name_length, extra_length, comment_length, disk, header
        ) = unpack(content, position)  # fmt: skip
        name_at = position + _CENTRAL.size
        extra_at = name_at + name_length
        position = extra_at + extra_length + comment_length
        if magic != b"PK\x01\x02" or position > len(content):
            reader.fail(f"entry {number} of its directory is damaged")
        raw_name = content[name_at:extra_at]
        if unpacked == _FULL32 or size == _FULL32 or header == _FULL32 or disk == _FULL16:
            extra = content[extra_at : extra_at + extra_length]
            unpacked, size, header, disk = _zip64(reader, raw_name, extra, (unpacked, size, header, disk))
        if disk:
            reader.fail(f"entry {quoted(_shown(raw_name))} is in another volume")
        if flags & ~_KNOWN_FLAGS:
            if flags & _ENCRYPTED:
                raise UnsupportedFeature(f"{shown_path(reader.path)}: entry {quoted(_shown(raw_name))} is encrypted.")
            reader.fail(f"entry {quoted(_shown(raw_name))} has flags {flags:#06x}, of which torch sets only 0x0808")
        if method == _STORED and size != unpacked:
            reader.fail(f"entry {quoted(_shown(raw_name))} is stored, but takes {size} bytes for {unpacked}")
        yield raw_name, header, size, unpacked, crc, flags, method
    if position != len(content):
        reader.fail(f"its directory has {len(content) - position} bytes after the last entry")


def _zip64(
    reader: _Reader, raw_name: bytes, extra: bytes, short: tuple[int, int, int, int]
) -> tuple[int, int, int, int]:
    """The sizes, offset and volume that were too large for their fields."""
    field = _extra_field(reader, raw_name, extra)
    full = (_FULL32, _FULL32, _FULL32, _FULL16)
    widths = (8, 8, 8, 4)
    values = list(short)
    position = 0
    for index, width in enumerate(widths):
        if short[index] == full[index]:
            if position + width > len(field):
                if index == 3:
                    continue  # a volume that is really 65535 is refused by the caller
                reader.fail(f"entry {quoted(_shown(raw_name))} lacks a zip64 field for its size or place")
            values[index] = int.from_bytes(field[position : position + width], "little")
            position += width
    return values[0], values[1], values[2], values[3]


def _extra_field(reader: _Reader, raw_name: bytes, extra: bytes) -> bytes:
    position = 0
    while position + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, position)
        if position + 4 + length > len(extra):
            break
        if kind == _ZIP64:
            return extra[position + 4 : position + 4 + length]
        position += 4 + length
    raise reader.error(f"entry {quoted(_shown(raw_name))} lacks a zip64 field for its size or place")


def _check_local(reader: _Reader, entry: _Listed, end: int) -> int:
    """Compare an entry with its own header and descriptor; where its contents begin. end: where the next one begins."""
    raw_name, header, listed_size, listed_unpacked, listed_crc, listed_flags, listed_method = entry
    length = _LOCAL.size + len(raw_name)
    page, at = reader.page(header, length)
    if len(page) < at + length or not page.startswith(MAGIC, at):
        _disagree(reader, entry, f"no entry begins at byte {header}")
    _, flags, method, crc, size, unpacked, name_length, extra_length = _LOCAL.unpack_from(page, at)
    if name_length != len(raw_name) or not page.startswith(raw_name, at + _LOCAL.size):
        _disagree(reader, entry, "its own header calls it something else")
    if method != listed_method or flags != listed_flags:
        _disagree(reader, entry, "its own header says another method or flags")
    offset: int = header + length + extra_length
    rest = end - offset - listed_size
    if rest < 0:
        _disagree(
            reader,
            entry,
            f"its contents span bytes {offset}..{offset + listed_size}, but at {end} something else begins",
        )
    if flags & _DESCRIPTOR:
        if (crc or size or unpacked) and (crc, size, unpacked) != (listed_crc, listed_size, listed_unpacked):
            _disagree(reader, entry, "its own header says another CRC or size")
        _check_descriptor(reader, entry, offset + listed_size, rest)
        return offset
    if rest:
        _disagree(reader, entry, f"the {rest} bytes after it belong to no entry")
    if size == _FULL32 or unpacked == _FULL32:
        extra = reader.at(header + length, extra_length)
        unpacked, size, _, _ = _zip64(reader, raw_name, extra, (unpacked, size, 0, 0))
    if crc != listed_crc or size != listed_size or unpacked != listed_unpacked:
        _disagree(reader, entry, "its own header says another CRC or size")
    return offset


def _check_descriptor(reader: _Reader, entry: _Listed, offset: int, length: int) -> None:
    form = _DESCRIPTORS.get(length)
    if form is None:
        _disagree(reader, entry, f"{length} bytes follow it, which is no data descriptor")
    layout, signed = form
    page, at = reader.page(offset, length)
    *signature, crc, size, unpacked = layout.unpack_from(page, at)
    if signed and signature[0] != b"PK\x07\x08":
        _disagree(reader, entry, "no data descriptor follows it")
    _, _, listed_size, listed_unpacked, listed_crc, _, _ = entry
    if crc != listed_crc or size != listed_size or unpacked != listed_unpacked:
        _disagree(reader, entry, "its data descriptor says another CRC or size")


def _name(reader: _Reader, raw: bytes) -> str:
    """A name that leads nowhere outside of the archive."""
    try:
        name = raw.decode()
    except UnicodeDecodeError:
        name = raw.decode("cp437")  # what the specification says of names that are not flagged as UTF-8
    if "\0" in name or name.startswith("/") or (".." in name and ".." in name.split("/")):
        reader.fail(f"entry {quoted(name)} has a name that leads out of the archive")
    return name


def _twice(reader: _Reader, listed: Iterable[_Listed]) -> str:
    """The first name that another entry has, too."""
    met: set[str | bytes] = set()
    for raw_name, *_ in listed:
        name, folded = _name(reader, raw_name), raw_name.lower()
        if name in met or folded in met:
            break
        met.update((name, folded))
    return name


def _shown(raw: bytes) -> str:
    return raw.decode("utf-8", "backslashreplace")


def _disagree(reader: _Reader, entry: _Listed, problem: str) -> NoReturn:
    reader.fail(f"entry {quoted(_shown(entry[0]))}: {problem}")
