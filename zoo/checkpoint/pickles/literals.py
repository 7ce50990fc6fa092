"""The opcodes of numbers and strings that torch writes seldom or never: protocols 0 and 1, long integers, bytes."""

from __future__ import annotations

import struct
from codecs import escape_decode
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from zoo.checkpoint.pickles.machine import Machine

__all__ = ["LITERALS", "decimal"]

# Of bytes or digits: Python refuses to spell an integer of more than 4300 digits, and messages do spell them.
_LONGEST_INTEGER = 2**10
_LONGEST_NUMBER = 2**12

_U32 = struct.Struct("<I").unpack_from
_U64 = struct.Struct("<Q").unpack_from
_I32 = struct.Struct("<i").unpack_from
_F64 = struct.Struct(">d").unpack_from


def _text(content: bytes) -> str | bytes:
    """A Python 2 string: text where it is text, as torch reads it, else the bytes."""
    try:
        return content.decode()
    except UnicodeDecodeError:
        return content


def _int(machine: Machine, pos: int) -> int:
    line, pos = machine.line(pos)
    machine.stack.append({b"00": False, b"01": True}[line] if line in (b"00", b"01") else decimal(machine, line))
    return pos


def _long(machine: Machine, pos: int) -> int:
    line, pos = machine.line(pos)
    machine.stack.append(decimal(machine, line.removesuffix(b"L")))
    return pos


def decimal(machine: Machine, digits: bytes) -> int:
    """An integer in digits, of which there are not too many."""
    try:
        return int(digits[:_LONGEST_INTEGER]) if len(digits) <= _LONGEST_INTEGER else int("too long")
    except ValueError:
        machine.fail(f"{digits[:40]!r} is no integer of at most {_LONGEST_INTEGER} digits")


def _long1(machine: Machine, pos: int) -> int:
    content, pos = machine.take(pos + 1, machine.data[pos])
    machine.stack.append(int.from_bytes(content, "little", signed=True))
    return pos


def _long4(machine: Machine, pos: int) -> int:
    (length,) = _I32(machine.data, pos)
    if not 0 <= length <= _LONGEST_INTEGER:
        machine.fail(f"an integer of {length} bytes; at most {_LONGEST_INTEGER} are allowed")
    content, pos = machine.take(pos + 4, length)
    machine.stack.append(int.from_bytes(content, "little", signed=True))
    return pos


def _float(machine: Machine, pos: int) -> int:
    line, pos = machine.line(pos, _LONGEST_NUMBER)
    try:
        machine.stack.append(float(line))
    except ValueError:
        machine.fail(f"{line[:40]!r} is no number")
    return pos


def _binfloat(machine: Machine, pos: int) -> int:
    machine.stack.append(_F64(machine.data, pos)[0])
    return pos + 8


def _string(machine: Machine, pos: int) -> int:
    line, pos = machine.line(pos)
    if len(line) < 2 or line[:1] != line[-1:] or line[:1] not in (b"'", b'"'):
        machine.fail("a string is not in quotes")
    try:
        machine.stack.append(_text(escape_decode(line[1:-1])[0]))
    except ValueError as error:
        machine.fail(f"a string has a broken escape: {error}")
    return pos


def _unicode(machine: Machine, pos: int) -> int:
    line, pos = machine.line(pos)
    machine.stack.append(line.decode("raw-unicode-escape"))
    return pos


def _binstring(machine: Machine, pos: int) -> int:
    (length,) = _I32(machine.data, pos)
    if length < 0:
        machine.fail(f"a string of {length} bytes")
    pos = machine.long_string(pos + 4, length, text=False)
    content = machine.stack[-1]
    if isinstance(content, bytes):
        machine.stack[-1] = _text(content)
    return pos


def _short_binstring(machine: Machine, pos: int) -> int:
    content, pos = machine.take(pos + 1, machine.data[pos])
    machine.stack.append(_text(content))
    return pos


def _short_binbytes(machine: Machine, pos: int) -> int:
    content, pos = machine.take(pos + 1, machine.data[pos])
    machine.stack.append(content)
    return pos


def _binbytes(machine: Machine, pos: int) -> int:
    return machine.long_string(pos + 4, _U32(machine.data, pos)[0], text=False)


def _binbytes8(machine: Machine, pos: int) -> int:
    return machine.long_string(pos + 8, _U64(machine.data, pos)[0], text=False)


def _binunicode8(machine: Machine, pos: int) -> int:
    return machine.long_string(pos + 8, _U64(machine.data, pos)[0], text=True)


LITERALS: Final[dict[int, Callable[[Machine, int], int]]] = {
    opcode[0]: handler
    for opcode, handler in {
        b"I": _int,
        b"L": _long,
        b"\x8a": _long1,
        b"\x8b": _long4,
        b"F": _float,
        b"G": _binfloat,
        b"S": _string,
        b"V": _unicode,
        b"T": _binstring,
        b"U": _short_binstring,
        b"B": _binbytes,
        b"C": _short_binbytes,
        b"\x8e": _binbytes8,
        b"\x96": _binbytes8,  # BYTEARRAY8
        b"\x8d": _binunicode8,
    }.items()
}
"""What to run at which byte: each takes the position after it and returns where the next opcode is."""
