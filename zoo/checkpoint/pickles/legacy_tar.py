"""What torch.save wrote in its first months: a tar archive of storages, tensors and a pickle that refers to them."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Final, NoReturn

from zoo.checkpoint.collector import collector_paused
from zoo.checkpoint.describe import found, listed, quoted, shown_integer, shown_path
from zoo.checkpoint.pickles import legacy, torch_zip
from zoo.checkpoint.pickles.assemble import assemble
from zoo.checkpoint.pickles.globals import Vocabulary
from zoo.checkpoint.pickles.machine import Machine
from zoo.checkpoint.pickles.stream import Stream
from zoo.checkpoint.pickles.tensors import Storage, Tensor, is_size, storage_element
from zoo.checkpoint.records import Checkpoint
from zoo.checkpoint.regular_file import open_regular, read_up_to
from zoo.checkpoint.rules import MAX_RANK
from zoo.errors import MalformedCheckpoint, UnknownFormat, UnsupportedFeature

__all__ = ["FORMAT_NAME", "open_file"]

FORMAT_NAME: Final = "torch-tar"

_BLOCK = 512
_PICKLE = b"\x80"
_MEMBERS = ("storages", "tensors", "pickle")
_REGULAR = (b"0", b"\0")
_PAX = (b"x", b"g")
_COUNT = struct.Struct("<q")
_RANK = struct.Struct("<i4x")
_MOST_MEMBERS = 1000
_MOST_PAX = 2**16


def open_file(path: Path) -> Checkpoint:
    """Open a tar archive of torch before 0.1.10.

    Raises MalformedCheckpoint or UnsupportedFeature; UnknownFormat for other tar archives; CheckpointError when the
    file can't be read.
    """
    with open_regular(path) as (descriptor, size), collector_paused():
        start = read_up_to(descriptor, _BLOCK, 0, path)
        # Other formats can have a tar's magic in their midst. torch looks for a zip archive's first bytes, then for the
        # whole header of a tar, and takes what is neither for a pickle.
        if start.startswith(torch_zip.MAGIC):
            return torch_zip.open_file(path)
        if start.startswith(_PICKLE) and not _is_header(start):
            return legacy.open_file(path)
        members = _members(path, descriptor, size)
        missing = [name for name in _MEMBERS if name not in members]
        if missing:
            raise UnknownFormat(
                f"{shown_path(path)} is a tar archive, none of torch's: it holds no {listed(map(quoted, missing))}. "
                f"It holds {listed(map(quoted, members), 8) or 'nothing'}.",
                hint="If checkpoints are packed in it, unpack them first: `tar -xf FILE`.",
            )
        vocabulary = Vocabulary(path, size)
        streams = {name: Stream(descriptor, path, *members[name], name) for name in _MEMBERS}
        objects: dict[str, object] = {}
        storages = _read_storages(streams["storages"], vocabulary)
        objects.update(storages)
        objects.update(_read_tensors(streams["tensors"], vocabulary, storages))

        def persistent(identity: object) -> object:
            if isinstance(identity, tuple) and identity:
                return identity[0]  # (class, file, source) of a pickled module
            known = objects.get(key) if (key := _key(identity)) is not None else None
            if known is None:
                _malformed(path, f"the pickle refers to {found(identity)}, which the archive does not hold")
            return known

        root = Machine(streams["pickle"], vocabulary, persistent).load()
        return assemble(path, root, vocabulary, format=FORMAT_NAME)


def _members(path: Path, descriptor: int, size: int) -> dict[str, tuple[int, int]]:
    """The regular files of a ustar or pax archive: name -> where its bytes begin and end."""
    members: dict[str, tuple[int, int]] = {}
    position = 0
    for _ in range(_MOST_MEMBERS):
        header = read_up_to(descriptor, _BLOCK, position, path)
        if not header.strip(b"\0"):
            return members
        if len(header) < _BLOCK or header[257:262] != b"ustar":
            _malformed(path, f"no tar header stands at byte {position}")
        if not _is_header(header):
            _malformed(path, f"the tar header at byte {position} is damaged: its checksum is wrong")
        length = _octal(path, header[124:136])
        begin, kind = position + _BLOCK, header[156:157]
        end = begin + length
        if end > size:
            _malformed(path, f"a member of the archive spans bytes {begin}..{end}, but the file ends at {size}")
        if kind in _PAX:
            _refuse_overrides(path, read_up_to(descriptor, min(length, _MOST_PAX), begin, path))
        elif kind in _REGULAR:
            name = header[:100].rstrip(b"\0").decode("utf-8", "backslashreplace")
            if header[345:500].strip(b"\0"):
                name = f"{header[345:500].rstrip(bytes(1)).decode('utf-8', 'backslashreplace')}/{name}"
            name = name.removeprefix("./")
            if name in members:
                _malformed(path, f"two members of the archive are named {quoted(name)}")
            members[name] = (begin, end)
        position = begin + -(-length // _BLOCK) * _BLOCK
    raise UnsupportedFeature(f"{shown_path(path)}: the archive has more than {_MOST_MEMBERS} members.")


def _is_header(header: bytes) -> bool:
    """Whether the checksum of a header is right; it stands in the header and counts as spaces."""
    digits = header[148:156].strip(b" \0")
    actual = sum(header[:148]) + sum(header[156:]) + 8 * ord(" ")
    return digits.isdigit() and not set(digits) & set(b"89") and int(digits, 8) == actual


def _refuse_overrides(path: Path, records: bytes) -> None:
    """A pax header may give the next member another name or size than its own header does."""
    for field in (b" path=", b" size=", b" linkpath=", b" GNU.sparse"):
        if field in records:
            raise UnsupportedFeature(
                f"{shown_path(path)}: a pax header overrides the{field.decode().rstrip('=')} of a member; "
                "torch never wrote that."
            )


def _octal(path: Path, field: bytes) -> int:
    digits = field.strip(b" \0")
    if not all(digit in b"01234567" for digit in digits):
        _malformed(path, f"{field!r} in a tar header is no octal number")
    return int(digits or b"0", 8)


def _read_storages(stream: Stream, vocabulary: Vocabulary) -> dict[str, Storage]:
    """How many, then for each (key, device, type), its size and its elements; then the views of them."""
    path = stream.path
    machine = Machine(stream, vocabulary, _no_persistent(path))
    storages: dict[str, Storage] = {}
    for _ in range(_count(path, machine.load())):
        header = machine.load()
        if not isinstance(header, tuple) or len(header) != 3:
            _malformed(path, f"expected the key, device and type of a storage, found {found(header)}")
        key, element = _require_key(path, header[0]), storage_element(header[2], header[0], path)
        (elements,) = _COUNT.unpack(_exactly(stream, machine.position, _COUNT.size))
        begin = machine.position + _COUNT.size
        nbytes = elements * element.itemsize
        if elements < 0 or begin + nbytes > stream.end:
            _malformed(path, f"storage {quoted(key)} of {elements} elements goes past the end of its member")
        storages[key] = Storage(key, element, nbytes, path, begin)
        machine.position = begin + nbytes
    views = machine.load()
    if not isinstance(views, (list, tuple)):
        _malformed(path, f"expected the views of storages, found {found(views)}")
    for view in views:
        if not isinstance(view, tuple) or len(view) != 4:
            _malformed(path, f"expected a view of a storage, found {found(view)}")
        key, root_key, offset, elements = _require_key(path, view[0]), _key(view[1]), view[2], view[3]
        root = storages.get(root_key) if root_key is not None else None
        if root is None or not is_size(offset) or not is_size(elements):
            _malformed(path, f"expected a view of a storage, found {found(view)}")
        begin, end = offset * root.element.itemsize, (offset + elements) * root.element.itemsize
        if end > root.nbytes:
            _malformed(path, f"a view reaches to byte {end} of storage {quoted(root.key)}, which has {root.nbytes}")
        storages[key] = Storage(key, root.element, end - begin, path, root.offset + begin)
    return storages


def _read_tensors(stream: Stream, vocabulary: Vocabulary, storages: dict[str, Storage]) -> dict[str, Tensor]:
    """How many, then for each (key, key of its storage, type), the rank, the shape, the strides and the offset."""
    path = stream.path
    machine = Machine(stream, vocabulary, _no_persistent(path))
    tensors: dict[str, Tensor] = {}
    for _ in range(_count(path, machine.load())):
        header = machine.load()
        if not isinstance(header, tuple) or len(header) != 3:
            _malformed(path, f"expected the key, storage and type of a tensor, found {found(header)}")
        key, storage_key = _require_key(path, header[0]), _key(header[1])
        storage = storages.get(storage_key) if storage_key is not None else None
        if storage is None:
            place = f"storage {found(header[1])}, which the archive does not hold"
            _malformed(path, f"tensor {quoted(key)} is in {place}")
        (rank,) = _RANK.unpack(_exactly(stream, machine.position, _RANK.size))
        if not 0 <= rank <= MAX_RANK:
            _malformed(path, f"tensor {quoted(key)} has {rank} dimensions")
        layout = struct.Struct(f"<{rank}q{rank}qq")
        numbers = layout.unpack(_exactly(stream, machine.position + _RANK.size, layout.size))
        tensors[key] = Tensor(storage, numbers[-1], numbers[:rank], numbers[rank:-1])
        machine.position += _RANK.size + layout.size
    return tensors


def _key(value: object) -> str | None:
    """The key of a storage or tensor, which is its address, as text; None for what is no key."""
    if type(value) is int:
        return shown_integer(value)
    return value if type(value) is str else None


def _require_key(path: Path, value: object) -> str:
    key = _key(value)
    if key is None:
        _malformed(path, f"expected a key, found {found(value)}")
    return key


def _no_persistent(path: Path) -> Callable[[object], object]:
    def refuse(identity: object) -> object:
        _malformed(path, f"expected plain values, found the persistent id {found(identity)}")

    return refuse


def _count(path: Path, value: object) -> int:
    if type(value) is not int or value < 0:
        _malformed(path, f"expected a count, found {found(value)}")
    return value


def _exactly(stream: Stream, offset: int, length: int) -> bytes:
    content = stream.read(offset, length)
    if len(content) < length:
        _malformed(stream.path, f"member {quoted(stream.label)} ends in the middle")
    return content


def _malformed(path: Path, problem: str) -> NoReturn:
    raise MalformedCheckpoint(f"{shown_path(path)}: {problem}.")
