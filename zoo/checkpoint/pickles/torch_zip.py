"""What torch.save has written since torch 1.6: a zip archive of one pickle and one entry for each storage."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from zoo.checkpoint.collector import collector_paused
from zoo.checkpoint.describe import found, listed, quoted, shown_path
from zoo.checkpoint.pickles.assemble import assemble
from zoo.checkpoint.pickles.globals import Vocabulary
from zoo.checkpoint.pickles.machine import Machine
from zoo.checkpoint.pickles.stream import Stream
from zoo.checkpoint.pickles.tensors import Element, Storage, is_size, storage_element
from zoo.checkpoint.pickles.torchscript import arrange
from zoo.checkpoint.pickles.zip_archive import MAGIC, ZipArchive, entry_crc, read_archive
from zoo.checkpoint.records import Checkpoint
from zoo.checkpoint.regular_file import open_regular, read_up_to
from zoo.errors import MalformedCheckpoint, UnknownFormat, UnsupportedFeature

__all__ = ["FORMAT_NAME", "MAGIC", "open_file"]

FORMAT_NAME: Final = "torch"

_PICKLE = "data.pkl"
_CONSTANTS = "constants.pkl"
_MOST_TEXT = 64
# torch numbers storages; a long key would be put together with its folder for every tensor that repeats it.
_LONGEST_KEY = 256


def open_file(path: Path) -> Checkpoint:
    """Open what torch.save or torch.jit.save wrote, by its archive's directory and its pickles.

    Raises MalformedCheckpoint or UnsupportedFeature; UnknownFormat for other zip archives; CheckpointError when the
    file can't be read.
    """
    with open_regular(path) as (descriptor, size), collector_paused():
        start = read_up_to(descriptor, len(MAGIC), 0, path)
        if start != MAGIC:
            raise UnknownFormat(
                f"{shown_path(path)}: no torch checkpoint begins with {start!r}, whatever this file is called.",
                hint="The file may be damaged, or a web page that was saved in place of the file.",
            )
        archive = read_archive(path, descriptor, size)
        if archive.find(_PICKLE) is None:
            raise _other_archive(archive)
        script = archive.find(_CONSTANTS) is not None
        vocabulary = Vocabulary(path, size, script=script)
        warnings: list[str] = []
        reader = _ArchiveReader(archive, descriptor, vocabulary, warnings)
        root = reader.load(_PICKLE, "data/")
        if not script:
            return assemble(path, root, vocabulary, format=FORMAT_NAME, warnings=warnings)
        constants = reader.load(_CONSTANTS, "constants/")
        arranged, choose = arrange(root, constants, archive, descriptor, vocabulary.charge)
        return assemble(path, arranged, vocabulary, format=FORMAT_NAME, warnings=warnings, choose=choose)


class _ArchiveReader:
    """Loads the pickles of an archive, with the entries that they refer to as storages."""

    def __init__(self, archive: ZipArchive, descriptor: int, vocabulary: Vocabulary, warnings: list[str]) -> None:
        self._archive = archive
        self._descriptor = descriptor
        self._vocabulary = vocabulary
        self._warnings = warnings
        self._swapped = self._is_big_endian()
        self._elements: dict[int, Element] = {}

    def load(self, name: str, folder: str) -> object:
        """What a pickle spells. folder: where the storages are that it refers to."""
        path, entry = self._archive.path, self._archive.require(name)
        if entry_crc(path, self._descriptor, entry) != entry.crc:
            reason = "torch wrote none" if not entry.crc else "it was damaged or altered, or torch wrote a wrong one"
            self._warnings.append(f"{quoted(name)} does not have the CRC that the archive says; {reason}.")
        stream = Stream(self._descriptor, path, entry.offset, entry.offset + entry.size, entry.name)
        storages: dict[object, Storage] = {}
        prefix = self._archive.folder + folder

        def storage(identity: object) -> Storage:
            # One that is named again is the same one, and what the id says of it has to agree.
            met = self._storage(identity, prefix)
            return storages.setdefault(met.key, met)

        machine = Machine(stream, self._vocabulary, storage)
        value = machine.load()
        if machine.position != stream.end:
            self._warnings.append(f"{quoted(name)} goes on for {stream.end - machine.position} bytes after its end.")
        return value

    def _storage(self, identity: object, prefix: str) -> Storage:
        """A storage from its persistent id: ("storage", type, key, device, number of elements)."""
        path = self._archive.path
        if type(identity) is not tuple or len(identity) != 5 or identity[0] not in ("storage", b"storage"):
            raise MalformedCheckpoint(f"{shown_path(path)}: expected the id of a storage, found {found(identity)}.")
        _, kind, key, _, elements = identity
        element = self._elements.get(id(kind))
        if element is None:
            # A file has one object for a global, which its vocabulary keeps.
            element = storage_element(kind, key, path)
            self._elements[id(kind)] = element
        if type(key) is not str or len(key) > _LONGEST_KEY or not is_size(elements):
            raise MalformedCheckpoint(
                f"{shown_path(path)}: expected the key and size of a storage, found {found(key)} and {found(elements)}."
            )
        entry = self._archive.entries.get(prefix + key)
        if entry is None:
            raise MalformedCheckpoint(f"{shown_path(path)}: storage {quoted(prefix + key)} is not in the archive.")
        if not entry.stored:
            self._archive.require(entry.name.removeprefix(self._archive.folder))
        if entry.size != elements * element.itemsize:
            raise MalformedCheckpoint(
                f"{shown_path(path)}: storage {quoted(entry.name)} has {entry.size} bytes, "
                f"but {elements} elements of {element.label} take {elements * element.itemsize}."
            )
        return Storage(key, element, entry.size, path, entry.offset, self._swapped)

    def _is_big_endian(self) -> bool:
        entry = self._archive.find("byteorder")
        if entry is None:
            return False
        entry = self._archive.require("byteorder")
        order = read_up_to(self._descriptor, min(entry.size, _MOST_TEXT), entry.offset, self._archive.path)
        if order not in (b"little", b"big"):
            raise MalformedCheckpoint(
                f"{shown_path(self._archive.path)}: {quoted(entry.name)} says {order!r}; expected 'little' or 'big'."
            )
        return order == b"big"


def _other_archive(archive: ZipArchive) -> UnknownFormat | UnsupportedFeature:
    place = shown_path(archive.path)
    names = list(archive.entries)
    if any(name.startswith(archive.folder + "data/weights/") for name in names) or archive.find("archive_format"):
        return UnsupportedFeature(
            f"{place} is what torch.export writes, a program; its weights can't be read alone.",
            hint="Save the state dict of the model beside it: `torch.save(program.state_dict, 'model.pt')`.",
        )
    if archive.find("model.json") is not None:
        return UnsupportedFeature(
            f"{place} is a TorchScript archive of torch before 1.1.",
            hint="Load and save it again with a newer torch.",
        )
    return UnknownFormat(
        f"{place} is a zip archive, but none of torch's: it holds no {quoted(archive.folder + _PICKLE)}. "
        f"It holds {listed(map(quoted, names), 8)}."
    )
