"""The opcodes of containers, and what they do to what is no container."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from zoo.checkpoint.describe import found
from zoo.checkpoint.pickles.inert import Call, Collection, Global, NotBuildable, dict_key

if TYPE_CHECKING:
    from zoo.checkpoint.pickles.machine import Machine

__all__ = ["CONTAINERS"]


def _extend(target: object, items: list[object]) -> None:
    if isinstance(target, (list, Call)):
        target.extend(items)
    elif isinstance(target, Global):
        target.called = target.altered = True
    elif not isinstance(target, dict):
        # An OrderedDict with an attribute `append`, which `note_planted` has seen, would call it.
        raise NotBuildable(f"APPEND on {found(target)}")


def _set_items(target: object, flat: list[object]) -> None:
    if len(flat) % 2:
        raise NotBuildable("SETITEMS with a key that has no value")
    keys, values = flat[::2], flat[1::2]
    if isinstance(target, dict):
        for key, value in zip(keys, values, strict=True):
            target[key if type(key) is str else dict_key(key)] = value
    elif isinstance(target, Call):
        target.set_pairs(keys, values)
    elif isinstance(target, Global):
        target.called = target.altered = True
    else:
        raise NotBuildable(f"SETITEM on {found(target)}")


def _empty_dict(machine: Machine, pos: int) -> int:
    machine.made()
    machine.stack.append({})
    return pos


def _empty_list(machine: Machine, pos: int) -> int:
    machine.made()
    machine.stack.append([])
    return pos


def _empty_set(machine: Machine, pos: int) -> int:
    machine.made()
    machine.stack.append(Collection([]))
    return pos


def _tuple3(machine: Machine, pos: int) -> int:
    third, second, first = machine.pop(), machine.pop(), machine.pop()
    machine.stack.append((first, second, third))
    return pos


def _list(machine: Machine, pos: int) -> int:
    items = machine.pop_mark()
    machine.stack.append(items)
    return pos


def _dict(machine: Machine, pos: int) -> int:
    items = machine.pop_mark()
    machine.stack.append({})
    _set_items(machine.stack[-1], items)
    return pos


def _frozenset(machine: Machine, pos: int) -> int:
    items = machine.pop_mark()
    machine.stack.append(Collection(items))
    return pos


def _append(machine: Machine, pos: int) -> int:
    item = machine.pop()
    _extend(machine.top(), [item])
    return pos


def _appends(machine: Machine, pos: int) -> int:
    items = machine.pop_mark()
    _extend(machine.top(), items)
    return pos


def _additems(machine: Machine, pos: int) -> int:
    items = machine.pop_mark()
    target = machine.top()
    if isinstance(target, Collection):
        target.items.extend(items)
    elif isinstance(target, list):
        raise NotBuildable("ADDITEMS on a list")
    else:
        _extend(target, items)
    return pos


def _setitem(machine: Machine, pos: int) -> int:
    value, key = machine.pop(), machine.pop()
    _set_items(machine.top(), [key, value])
    return pos


def _setitems(machine: Machine, pos: int) -> int:
    items = machine.pop_mark()
    _set_items(machine.top(), items)
    return pos


CONTAINERS: Final[dict[int, Callable[[Machine, int], int]]] = {
    opcode[0]: handler
    for opcode, handler in {
        b"}": _empty_dict,
        b"]": _empty_list,
        b"\x8f": _empty_set,
        b"\x87": _tuple3,
        b"l": _list,
        b"d": _dict,
        b"\x91": _frozenset,
        b"a": _append,
        b"e": _appends,
        b"\x90": _additems,
        b"s": _setitem,
        b"u": _setitems,
    }.items()
}
"""What to run at which byte: each takes the position after it and returns where the next opcode is."""
