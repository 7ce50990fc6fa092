"""What torch.save wrote before torch 1.6, and plain pickles of arrays.

A legacy file is five pickles in a row (a magic number, a version, facts about the machine, the object, the keys of its
storages in order), then each storage: how many elements, in 8 bytes, and the elements, little-endian.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Final

from zoo.checkpoint.collector import collector_paused
from zoo.checkpoint.describe import found, quoted, shown_integer, shown_path
from zoo.checkpoint.pickles.assemble import assemble
from zoo.checkpoint.pickles.globals import Vocabulary
from zoo.checkpoint.pickles.machine import Machine
from zoo.checkpoint.pickles.stream import Stream
from zoo.checkpoint.pickles.tensors import Element, Storage, is_size, storage_element
from zoo.checkpoint.records import Checkpoint
from zoo.checkpoint.regular_file import open_regular, read_up_to
from zoo.errors import MalformedCheckpoint, UnsupportedFeature

__all__ = ["FORMAT_NAME", "MAGIC_NUMBER", "open_file"]

FORMAT_NAME: Final = "torch-legacy"

MAGIC_NUMBER: Final = 0x1950A86A20F9469CFC6C
_PROTOCOL_VERSION = 1001
_COUNT = struct.Struct("<q")
_GET_AGAIN = "The file is truncated; get it again from where it came from."


def open_file(path: Path) -> Checkpoint:
    """Open a file that begins with a pickle.

    Raises MalformedCheckpoint or UnsupportedFeature; CheckpointError when the file can't be read.
    """
    with open_regular(path) as (descriptor, size), collector_paused():
        stream = Stream(descriptor, path, 0, size)
        vocabulary = Vocabulary(path, size)
        storages = _Storages(path)
        machine = Machine(stream, vocabulary, storages.persistent)
        root = machine.load()
        warnings = []
        if root == MAGIC_NUMBER:
            root = _legacy(machine, storages, descriptor, size)
        elif machine.position != size:
            warnings.append(
                f"{size - machine.position} bytes follow the pickle; torch and pickle would not look at them."
            )
        return assemble(path, root, vocabulary, format=FORMAT_NAME, warnings=warnings)


def _legacy(machine: Machine, storages: _Storages, descriptor: int, size: int) -> object:
    path = storages.path
    version = machine.load()
    if version != _PROTOCOL_VERSION:
        raise UnsupportedFeature(
            f"{shown_path(path)}: its version is {found(version)}; torch wrote no other than {_PROTOCOL_VERSION}."
        )
    machine.load()  # Sizes of C types and the byte order of the machine; the data are little-endian all the same.
    storages.allowed = True
    root = machine.load()
    storages.allowed = False
    keys = machine.load()
    if not isinstance(keys, (list, tuple)):
        raise MalformedCheckpoint(f"{shown_path(path)}: expected the keys of the storages, found {found(keys)}.")
    storages.place(keys, descriptor, machine.position, size)
    return root


class _Storages:
    """The storages of a legacy file, which are met in the pickle and placed afterwards."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.allowed = False
        self._roots: dict[str, Storage] = {}
        self._views: list[tuple[Storage, Storage, int]] = []

    def persistent(self, identity: object) -> object:
        """("storage", type, key, device, elements, view), or ("module", class, file, source) for pickled modules."""
        place = shown_path(self.path)
        if self.allowed and isinstance(identity, tuple) and len(identity) > 1:
            if identity[0] in ("module", b"module"):
                return identity[1]
            if identity[0] in ("storage", b"storage") and len(identity) in (5, 6):
                return self._storage(identity)
        raise MalformedCheckpoint(f"{place}: expected the id of a storage, found {found(identity)}.")

    def place(self, keys: list[object] | tuple[object, ...], descriptor: int, position: int, size: int) -> None:
        """Find each storage behind the pickles, in the order of the keys."""
        place = shown_path(self.path)
        waiting = dict(self._roots)
        for key in keys:
            storage = waiting.pop(key, None) if isinstance(key, str) else None
            if storage is None:
                raise MalformedCheckpoint(f"{place}: storage {found(key)} is listed, but no tensor uses it.")
            content = read_up_to(descriptor, _COUNT.size, position, self.path)
            if len(content) < _COUNT.size:
                raise MalformedCheckpoint(
                    f"{place}: storage {quoted(storage.key)} begins at byte {position}, but the file ends at {size}.",
                    hint=_GET_AGAIN,
                )
            (elements,) = _COUNT.unpack(content)
            if elements * storage.element.itemsize != storage.nbytes:
                raise MalformedCheckpoint(
                    f"{place}: storage {quoted(storage.key)} has {elements} elements at byte {position}, "
                    f"but its tensors speak of {storage.nbytes // storage.element.itemsize}."
                )
            storage.offset = position + _COUNT.size
            position = storage.offset + storage.nbytes
            if position > size:
                raise MalformedCheckpoint(
                    f"{place}: storage {quoted(storage.key)} spans bytes {storage.offset}..{position}, "
                    f"but the file ends at {size}.",
                    hint=_GET_AGAIN,
                )
        if waiting:
            raise MalformedCheckpoint(f"{place}: storage {quoted(next(iter(waiting)))} is not in the file.")
        if position != size:
            raise MalformedCheckpoint(
                f"{place}: the storages end at byte {position}, but the file ends at {size}; "
                f"the last {size - position} bytes belong to no tensor."
            )
        for view, root, offset in self._views:
            view.offset = root.offset + offset

    def _storage(self, identity: tuple[object, ...]) -> Storage:
        kind, key, elements = identity[1], identity[2], identity[4]
        view = identity[5] if len(identity) > 5 else None
        element = storage_element(kind, key, self.path)
        # Keys are text, but Python 2 may have pickled them as bytes or numbers.
        key = shown_integer(key) if type(key) is int else key
        if type(key) is not str or not is_size(elements):
            raise MalformedCheckpoint(
                f"{shown_path(self.path)}: expected the key and size of a storage, "
                f"found {found(key)} and {found(elements)}."
            )
        root = self._roots.get(key)
        if root is None:
            root = self._roots[key] = Storage(key, element, elements * element.itemsize, self.path)
        elif root.nbytes != elements * element.itemsize:
            raise MalformedCheckpoint(
                f"{shown_path(self.path)}: storage {quoted(key)} has {root.nbytes} bytes in one place "
                f"and {elements * element.itemsize} in another."
            )
        return root if view is None else self._view(root, view)

    def _view(self, root: Storage, view: object) -> Storage:
        """A part of a storage, as files of torch 0.1 have it: (key, first element, elements)."""
        element: Element = root.element
        if not isinstance(view, tuple) or len(view) != 3:
            raise MalformedCheckpoint(
                f"{shown_path(self.path)}: expected a view of storage {quoted(root.key)}, found {found(view)}."
            )
        key, offset, elements = view
        if not is_size(offset) or not is_size(elements):
            raise MalformedCheckpoint(
                f"{shown_path(self.path)}: a view of storage {quoted(root.key)} has offset {found(offset)} "
                f"and size {found(elements)}."
            )
        if (offset + elements) * element.itemsize > root.nbytes:
            raise MalformedCheckpoint(
                f"{shown_path(self.path)}: a view reaches to element {offset + elements} of storage "
                f"{quoted(root.key)}, which has {root.nbytes // element.itemsize}."
            )
        part = Storage(key if type(key) is str else found(key), element, elements * element.itemsize, self.path)
        self._views.append((part, root, offset * element.itemsize))
        return part
