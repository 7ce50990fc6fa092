"""The opcodes that state dicts seldom need: names and calls, stack, memo, framing."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from zoo.checkpoint.describe import found, shown_integer
from zoo.checkpoint.pickles.containers import CONTAINERS
from zoo.checkpoint.pickles.inert import Call, Global, Inert, NotBuildable, note_planted
from zoo.checkpoint.pickles.literals import LITERALS, decimal

if TYPE_CHECKING:
    from zoo.checkpoint.pickles.machine import Machine

__all__ = ["RARE", "Underflow", "call"]

_LONGEST_NAME = 2**12
_HIGHEST_PROTOCOL = 5

_U64 = struct.Struct("<Q").unpack_from


class Underflow(IndexError):
    """An opcode needs more than is on the stack."""


def call(callee: object, args: object, kwargs: object = None) -> object:
    """What REDUCE, NEWOBJ and their kin leave on the stack."""
    if not isinstance(callee, Global):
        return Call(callee, args, kwargs)
    callee.called = True
    if callee.rebuild is None or type(args) is not tuple or kwargs:
        return Call(callee, args, kwargs)
    return callee.rebuild(args)


def _set_state(target: object, state: object) -> None:
    note_planted(state)
    if isinstance(target, Inert):
        target.build(state)
    elif not isinstance(target, dict):
        # An OrderedDict, which is a dict here, may have attributes (`_metadata`); they hold no tensors.
        raise NotBuildable(f"BUILD on {found(target)}")


def _proto(machine: Machine, pos: int) -> int:
    protocol = machine.data[pos]
    if protocol > _HIGHEST_PROTOCOL:
        machine.unsupported(f"it says that it is of pickle protocol {protocol}; up to {_HIGHEST_PROTOCOL} is known")
    return pos + 1


def _frame(machine: Machine, pos: int) -> int:
    (length,) = _U64(machine.data, pos)
    if machine.base + pos + 8 + length > machine.end:
        machine.fail(f"a frame of {length} bytes goes past the end of the pickle")
    return pos + 8


def _push(value: object) -> Callable[[Machine, int], int]:
    def push(machine: Machine, pos: int) -> int:
        machine.stack.append(value)
        return pos

    return push


def _build(machine: Machine, pos: int) -> int:
    state = machine.pop()
    _set_state(machine.top(), state)
    return pos


def _pop(machine: Machine, pos: int) -> int:
    if machine.stack:
        machine.stack.pop()
    else:
        machine.pop_mark()
    return pos


def _pop_mark(machine: Machine, pos: int) -> int:
    machine.pop_mark()
    return pos


def _dup(machine: Machine, pos: int) -> int:
    machine.stack.append(machine.top())
    return pos


def _global(machine: Machine, pos: int) -> int:
    module, pos = machine.line(pos, _LONGEST_NAME)
    name, pos = machine.line(pos, _LONGEST_NAME)
    machine.stack.append(machine.named(module.decode(), name.decode()))
    return pos


def _stack_global(machine: Machine, pos: int) -> int:
    name, module = machine.pop(), machine.pop()
    if type(name) is not str or type(module) is not str:
        machine.fail(f"STACK_GLOBAL needs two strings, found {found(module)} and {found(name)}")
    if len(name) > _LONGEST_NAME or len(module) > _LONGEST_NAME:
        machine.fail(f"the name of a global is longer than {_LONGEST_NAME} characters")
    machine.stack.append(machine.named(module, name))
    return pos


def _extension(size: int) -> Callable[[Machine, int], int]:
    def extension(machine: Machine, pos: int) -> int:
        content, pos = machine.take(pos, size)
        code = int.from_bytes(content, "little")
        if not 0 < code < 2**31:
            machine.fail(f"{code} is no extension code")
        # Which global this is stands in a table of the unpickling program, so it may be any.
        machine.stack.append(machine.named("copyreg", f"extension {code}"))
        return pos

    return extension


def _newobj(machine: Machine, pos: int) -> int:
    args, cls = machine.pop(), machine.pop()
    machine.stack.append(call(cls, args))
    return pos


def _newobj_ex(machine: Machine, pos: int) -> int:
    kwargs, args, cls = machine.pop(), machine.pop(), machine.pop()
    machine.stack.append(call(cls, args, kwargs))
    return pos


def _inst(machine: Machine, pos: int) -> int:
    module, pos = machine.line(pos, _LONGEST_NAME)
    name, pos = machine.line(pos, _LONGEST_NAME)
    args = tuple(machine.pop_mark())
    machine.stack.append(call(machine.named(module.decode(), name.decode()), args))
    return pos


def _obj(machine: Machine, pos: int) -> int:
    items = machine.pop_mark()
    if not items:
        raise Underflow
    machine.stack.append(call(items[0], tuple(items[1:])))
    return pos


def _persid(machine: Machine, pos: int) -> int:
    line, pos = machine.line(pos)
    machine.stack.append(machine.persistent(line.decode("ascii")))
    return pos


def _get(machine: Machine, pos: int) -> int:
    line, pos = machine.line(pos, _LONGEST_NAME)
    machine.stack.append(machine.recall(decimal(machine, line)))
    return pos


def _put(machine: Machine, pos: int) -> int:
    line, pos = machine.line(pos, _LONGEST_NAME)
    index = decimal(machine, line)
    if index < 0:
        machine.fail(f"it stores at memo {shown_integer(index)}")
    machine.remember(index, machine.top())
    return pos


def _next_buffer(machine: Machine, pos: int) -> int:
    machine.unsupported("the pickle refers to buffers that are kept outside of it")


def _nothing(machine: Machine, pos: int) -> int:
    machine.top()
    return pos


_OWN: Final[dict[int, Callable[[Machine, int], int]]] = {
    opcode[0]: handler
    for opcode, handler in {
        b"\x80": _proto,
        b"\x95": _frame,
        b"N": _push(None),
        b"\x88": _push(True),
        b"b": _build,
        b"0": _pop,
        b"1": _pop_mark,
        b"2": _dup,
        b"c": _global,
        b"\x93": _stack_global,
        b"\x82": _extension(1),
        b"\x83": _extension(2),
        b"\x84": _extension(4),
        b"\x81": _newobj,
        b"\x92": _newobj_ex,
        b"i": _inst,
        b"o": _obj,
        b"P": _persid,
        b"g": _get,
        b"p": _put,
        b"\x97": _next_buffer,
        b"\x98": _nothing,  # READONLY_BUFFER
    }.items()
}

RARE: Final = {**_OWN, **CONTAINERS, **LITERALS}
"""What to run at which byte: each takes the position after it and returns where the next opcode is."""
