"""TorchScript archives (torch.jit.save): a module's attributes in one pickle, its code's constants in another.

The code is never run. Its source is read for two lines of each class alone, which say what of the attributes are
parameters and buffers; what else holds tensors is listed apart, as `state_dict()` leaves it out too.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from zoo.checkpoint.pickles.inert import Call, Global
from zoo.checkpoint.pickles.tree import walk
from zoo.checkpoint.pickles.zip_archive import ZipArchive
from zoo.checkpoint.records import Selection
from zoo.checkpoint.regular_file import read_up_to

__all__ = ["ATTRIBUTES", "CONSTANTS", "MODULE", "arrange"]

Chooser: TypeAlias = Callable[[Sequence[str]], Selection]
"""From the names of all tensors, which part is the model."""

MODULE: Final = "data"
ATTRIBUTES: Final = "attributes"
CONSTANTS: Final = "constants"

_LONGEST_SOURCE = 2**22
_SOURCES_IN_ALL = 2**26
_DEEPEST = 200


def arrange(
    root: object, constants: object, archive: ZipArchive, descriptor: int, charge: Callable[[int], None]
) -> tuple[object, Chooser]:
    """What of the two pickles is listed where, and how to tell from the names which part is the model.

    charge: counts what is copied, and refuses what is too much.
    Where there is nothing but the module, its names are the paths of attributes; else the kinds stand before them.
    """
    sources = _Sources(archive, descriptor)
    attributes: dict[object, object] = {}
    module = _registered(root, sources.registered, charge, attributes, {}, 0)
    parts: dict[object, object] = {MODULE: module}
    if walk(attributes).leaves:
        parts[ATTRIBUTES] = attributes
    if isinstance(constants, (list, tuple)) and walk(constants).leaves:
        parts[CONSTANTS] = {f"c{number}": constant for number, constant in enumerate(constants)}
    return (parts, _choose_part) if len(parts) > 1 else (module, _choose_all)


def _choose_all(names: Sequence[str]) -> Selection:
    return Selection("", ("",), (), "the file is a TorchScript module")


def _choose_part(names: Sequence[str]) -> Selection:
    """The module is the model, unless it was frozen: then its parameters are among the constants."""
    parts = tuple(dict.fromkeys(name.split(".", 1)[0] for name in names))
    others = tuple(part for part in parts if part != MODULE)
    if MODULE in parts:
        return Selection(MODULE, (MODULE,), others, f"'{MODULE}' holds the parameters of the TorchScript module")
    return Selection(None, others, (), "the TorchScript module has no parameters of its own: it was frozen, perhaps")


def _registered(
    value: object,
    registered: Callable[[Global], frozenset[str] | None],
    charge: Callable[[int], None],
    attributes: dict[object, object],
    done: dict[int, object],
    depth: int,
) -> object:
    """A module as a dictionary of its parameters, buffers and children. What else it has goes to `attributes`."""
    if not isinstance(value, Call) or not isinstance(value.state, dict) or not isinstance(value.callee, Global):
        return value
    if id(value) in done or depth > _DEEPEST:
        return done.get(id(value))
    made: dict[object, object] = {}
    done[id(value)] = made
    names = registered(value.callee)
    charge(len(value.state))
    for name, child in value.state.items():
        inner: dict[object, object] = {}
        if isinstance(child, Call):
            made[name] = _registered(child, registered, charge, inner, done, depth + 1)
            if inner:
                attributes[name] = inner
        elif names is None or name in names:
            made[name] = child
        else:
            attributes[name] = child
    return made


class _Sources:
    """The source texts of an archive's classes, unpacked one after another up to a bound."""

    def __init__(self, archive: ZipArchive, descriptor: int) -> None:
        self._archive = archive
        self._descriptor = descriptor
        self._left = _SOURCES_IN_ALL
        self._classes: dict[str, dict[str, frozenset[str]]] = {}

    def registered(self, cls: Global) -> frozenset[str] | None:
        """The names of a class's parameters and buffers; None where its source does not say."""
        classes = self._classes.get(cls.module)
        if classes is None:
            source = self._read(f"code/{cls.module.replace('.', '/')}.py")
            classes = self._classes[cls.module] = _classes(source)
        return classes.get(cls.name)

    def _read(self, name: str) -> str:
        entry = self._archive.find(name)
        if entry is None or entry.size > _LONGEST_SOURCE or self._left <= 0:
            return ""
        packed = read_up_to(self._descriptor, entry.size, entry.offset, self._archive.path)
        if entry.stored:
            content = packed
        else:
            try:
                content = zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, _LONGEST_SOURCE)
            except zlib.error:
                return ""
        self._left -= len(content)
        return content.decode("utf-8", "replace")


def _classes(source: str) -> dict[str, frozenset[str]]:
    """class -> its parameters and buffers, from lines such as `__parameters__ = ["weight", "bias", ]`."""
    found: dict[str, frozenset[str]] = {}
    name: str | None = None
    for line in source.splitlines():
        if line.startswith("class "):
            name = line[len("class ") :].split("(", 1)[0].strip()
        elif name is not None and line.startswith(("  __parameters__ = [", "  __buffers__ = [")):
            found[name] = found.get(name, frozenset()) | frozenset(re.findall(r'"([^"\\]*)"', line))
    return found
