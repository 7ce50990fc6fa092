"""What a pickle spells, as dead data: nothing here can be called, and nothing is what the pickle says it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

__all__ = [
    "Call",
    "Collection",
    "Global",
    "Inert",
    "NotBuildable",
    "OddKey",
    "Rebuild",
    "Span",
    "dict_key",
    "note_planted",
]

Rebuild: TypeAlias = Callable[[tuple[object, ...]], object]
"""What calling a global that is part of how tensors are stored means, given the arguments: a record."""

# What an unpickler looks up on an object and calls; a state can plant any callable under these names.
_LOOKED_UP = frozenset({"__setstate__", "append", "extend", "add"})

_LARGEST_KEY = 2**31


class NotBuildable(Exception):
    """A BUILD, APPEND or SETITEM on what takes none; the machine adds where."""


class Inert:
    """Anything that is not a plain Python value."""

    __slots__ = ()

    def build(self, state: object) -> None:
        """What BUILD does to it."""
        raise NotBuildable(f"BUILD on {type(self).__name__}")

    def __repr__(self) -> str:
        return f"<{type(self).__name__.strip('_').lower()}>"  # for messages, where an address says nothing


class Global(Inert):
    """A name that unpickling would import. One object for each (module, name) of a file.

    rebuild: what calling it means, for the few that mean something to us. known: whether it runs nothing that the
    file's author chose. called: whether the pickle calls it, or has something of torch's call it.
    altered: whether the pickle sets attributes on it, which would change the running program.
    """

    __slots__ = ("altered", "called", "known", "module", "name", "rebuild")

    def __init__(
        self, module: str, name: str, known: Literal["tensor", "data"] | None, rebuild: Rebuild | None
    ) -> None:
        self.module = module
        self.name = name
        self.known = known
        self.rebuild = rebuild
        self.called = False
        self.altered = False

    def build(self, state: object) -> None:
        self.called = self.altered = True

    def __repr__(self) -> str:
        return f"{self.module}.{self.name}"


class Call(Inert):
    """The result of a call, or an instance of a class: what was called with what, and what was done to it after.

    state: of BUILD. items: appended or added. pairs: set as keys and values.
    """

    __slots__ = ("args", "callee", "items", "kwargs", "pairs", "state")

    def __init__(self, callee: object, args: object, kwargs: object = None) -> None:
        self.callee = callee
        self.args = args
        self.kwargs = kwargs
        self.state: object = None
        self.items: list[object] | None = None
        self.pairs: list[tuple[object, object]] | None = None

    def build(self, state: object) -> None:
        self.state = state

    def extend(self, items: list[object]) -> None:
        """What APPENDS does to it."""
        if self.items is None:
            self.items = []
        self.items.extend(items)

    def set_pairs(self, keys: list[object], values: list[object]) -> None:
        """What SETITEMS does to it."""
        if self.pairs is None:
            self.pairs = []
        self.pairs.extend(zip(keys, values, strict=True))

    def __repr__(self) -> str:
        callee = self.callee
        return f"<{callee.module}.{callee.name}>" if isinstance(callee, Global) else "<the result of a call>"


class Collection(Inert):
    """A set or frozenset, as the list of what was put in: to hash what a stranger made can take forever."""

    __slots__ = ("items",)

    def __init__(self, items: list[object]) -> None:
        self.items = items


class OddKey(Inert):
    """A key of a dictionary that is neither text, bytes, None nor a small integer, equal to nothing but itself.

    A tuple of tuples of tuples takes 2^depth steps to hash, and integers can be chosen to collide.
    """

    __slots__ = ("value",)

    def __init__(self, value: object) -> None:
        self.value = value


class Span(Inert):
    """A long string that is left in the file: bytes offset..offset+length. text: whether it is UTF-8 for a `str`."""

    __slots__ = ("length", "offset", "text")

    def __init__(self, offset: int, length: int, text: bool) -> None:
        self.offset = offset
        self.length = length
        self.text = text


def note_planted(state: object) -> None:
    """Mark what becomes an attribute that the next BUILD or APPEND on the same object would call.

    As a tuple, a state of attributes is two: those of the dictionary and those of slots.
    """
    for part in state if isinstance(state, tuple) and len(state) == 2 else (state,):
        if isinstance(part, dict):
            for name in _LOOKED_UP & part.keys():
                planted = part[name]
                if isinstance(planted, Global):
                    planted.called = True


def dict_key(key: object) -> object:
    """A key as it can safely be looked up."""
    kind = type(key)
    if kind is str or kind is bytes or key is None or kind is bool:
        return key
    if isinstance(key, int) and -_LARGEST_KEY < key < _LARGEST_KEY:
        return key
    return OddKey(key)
