"""The globals that a pickle names, and which of them are harmless: torch's and numpy's own, by exact name.

What is harmless follows torch/_weights_only_unpickler.py; numpy's arrays and Python's containers are added. Everything
else an unpickler would import, and might call, is code to us. Calls that copy what they are given are counted: a pickle
repeats a memoised list of a million items in a few bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

from zoo.checkpoint.describe import shown_path
from zoo.checkpoint.pickles.arrays import ARRAY_REBUILDS
from zoo.checkpoint.pickles.inert import Call, Collection, Global, Rebuild, dict_key
from zoo.checkpoint.pickles.tensors import DTYPES, REBUILDS, STORAGES, TENSOR_CLASSES
from zoo.checkpoint.records import CodeReport, GlobalUse
from zoo.errors import MalformedCheckpoint

__all__ = ["Vocabulary"]

_MOST_GLOBALS: Final = 10_000
_FREE_COPIES: Final = 2**20
_COPIES_PER_BYTE: Final = 4


def _dict(args: tuple[object, ...]) -> object:
    """OrderedDict() and its kin; in Python 2 the items are the argument, as a list of pairs."""
    made: dict[object, object] = {}
    items = args[0] if args else ()
    if isinstance(items, dict):
        made.update(items)
    elif isinstance(items, (list, tuple)):
        for pair in items:
            if isinstance(pair, (list, tuple)) and len(pair) == 2:
                made[dict_key(pair[0])] = pair[1]
    return made


def _default_dict(args: tuple[object, ...]) -> object:
    return _dict(args[1:])


def _set(args: tuple[object, ...]) -> object:
    return Collection(list(args[0]) if args and isinstance(args[0], (list, tuple)) else [])


def _list(args: tuple[object, ...]) -> object:
    return list(args[0]) if args and isinstance(args[0], (list, tuple)) else []


def _first(args: tuple[object, ...]) -> object:
    return args[0] if args else None


def _reconstructor(args: tuple[object, ...]) -> object:
    """`copyreg._reconstructor(cls, base, state)`, `copyreg.__newobj__(cls, *args)`: they call the class."""
    for part in args[:2]:
        if isinstance(part, Global):
            part.called = True
    return Call(args[0], args[1:]) if args else Call(None, ())


def _kinds() -> Mapping[tuple[str, str], tuple[Literal["tensor", "data"], Rebuild | None]]:
    data: dict[tuple[str, str], Rebuild | None] = {
        ("collections", "OrderedDict"): _dict,
        ("collections", "Counter"): _dict,
        ("collections", "defaultdict"): _default_dict,
        ("collections", "deque"): _list,
        ("copyreg", "_reconstructor"): _reconstructor,
        ("copyreg", "__newobj__"): _reconstructor,
        ("copy_reg", "_reconstructor"): _reconstructor,
        **ARRAY_REBUILDS,
    }
    for module in ("builtins", "__builtin__"):
        data.update({(module, name): _set for name in ("set", "frozenset")})
        data.update({(module, "dict"): _dict, (module, "list"): _list})
        data.update(
            {(module, name): None for name in ("bytearray", "bytes", "complex", "object", "slice", "range", "tuple")}
        )
        data.update({(module, name): None for name in ("int", "float", "str", "bool", "long", "unicode")})
    kinds: dict[tuple[str, str], tuple[Literal["tensor", "data"], Rebuild | None]] = {
        key: ("data", rebuild) for key, rebuild in data.items()
    }
    kinds.update(dict.fromkeys((*DTYPES, *STORAGES, *TENSOR_CLASSES), ("tensor", None)))
    kinds.update({key: ("tensor", rebuild) for key, rebuild in REBUILDS.items()})
    kinds.update(
        {
            ("torch", name): ("tensor", None)
            for name in (
                "device",
                "per_tensor_affine",
                "per_tensor_symmetric",
                "per_channel_affine",
                "per_channel_symmetric",
                "per_channel_affine_float_qparams",
            )
        }
    )
    kinds["torch.serialization", "_get_layout"] = ("tensor", None)
    kinds["torch.storage", "TypedStorage"] = ("tensor", None)
    kinds["torch.storage", "_TypedStorage"] = ("tensor", None)
    return kinds


_KINDS: Final = _kinds()

_SIZED: Final = (dict, list, tuple, str)

_COPYING: Final = frozenset(
    {_dict, _default_dict, _set, _list, _reconstructor, ARRAY_REBUILDS["_codecs", "encode"], REBUILDS["torch", "Size"]}
)
"""The calls whose work grows with what they are given, rather than with how the file says it."""

_SCRIPT: Mapping[str, Rebuild] = {
    **{f"build_{kind}list": _first for kind in ("int", "tensor", "double", "bool")},
    "build_tensor_from_id": _first,
    "restore_type_tag": _first,
}


class Vocabulary:
    """The globals of one file. size: of the file. script: whether it is a TorchScript archive, whose classes are no
    Python.
    """

    def __init__(self, path: Path, size: int, *, script: bool = False) -> None:
        self._path = path
        self._copies_left = _COPIES_PER_BYTE * size + _FREE_COPIES
        self._globals: dict[tuple[str, str], Global] = {}
        self._script = script

    def named(self, module: str, name: str) -> Global:
        """The record of a global, the same one for the same name."""
        key = (module, name)
        known = self._globals.get(key)
        if known is None:
            if len(self._globals) == _MOST_GLOBALS:
                raise MalformedCheckpoint(
                    f"{shown_path(self._path)}: it names more than {_MOST_GLOBALS} globals, which no checkpoint does."
                )
            kind, rebuild = self._kind(module, name)
            if rebuild is not None and rebuild in _COPYING:
                rebuild = self._counted(rebuild)
            known = self._globals[key] = Global(module, name, kind, rebuild)
        return known

    def charge(self, items: int) -> None:
        """Count what is copied or walked through because the pickle refers to it once more.

        Raises MalformedCheckpoint when that is many times what the file holds.
        """
        self._copies_left -= items
        if self._copies_left < 0:
            raise MalformedCheckpoint(
                f"{shown_path(self._path)}: it has the same objects copied again and again, "
                f"more than {_COPIES_PER_BYTE} items for each of its bytes, which no checkpoint does."
            )

    def _counted(self, rebuild: Rebuild) -> Rebuild:
        def counted(args: tuple[object, ...]) -> object:
            if args:
                self.charge(len(args) + sum(len(part) for part in args[:2] if isinstance(part, _SIZED)))
            return rebuild(args)

        return counted

    def report(self) -> CodeReport:
        """What was named, in the order of the file."""
        return CodeReport(tuple(self._use(known) for known in self._globals.values()))

    def _kind(self, module: str, name: str) -> tuple[Literal["tensor", "data"] | None, Rebuild | None]:
        if self._script:
            if module == "torch.jit._pickle" and name in _SCRIPT:
                return "data", _SCRIPT[name]
            if module == "__torch__" or module.startswith("__torch__."):
                return "data", None
        return _KINDS.get((module, name), (None, None))

    @staticmethod
    def _use(known: Global) -> GlobalUse:
        # Merely to find what is named, an unpickler imports its module, and that runs what stands there.
        verdict: Literal["tensor", "data", "code"] = "code" if known.altered else known.known or "code"
        return GlobalUse(known.module, known.name, verdict, known.called)
