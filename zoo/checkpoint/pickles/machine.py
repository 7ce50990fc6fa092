"""The pickle machine of protocols 0 to 5, for reading only: it imports nothing and calls nothing that a pickle names.

The opcodes are those of Python's pickletools. What they would import becomes an `inert.Global`, what they would call an
`inert.Call`; only what tensors are stored with means more (`Vocabulary`). Whatever a file holds, work and memory are
bounded by its size and by the limits below.
"""

from __future__ import annotations

import struct
from codecs import escape_decode
from collections.abc import Callable
from typing import Final, NoReturn

from zoo.checkpoint.describe import found, quoted, shown_integer, shown_path
from zoo.checkpoint.pickles.globals import Vocabulary
from zoo.checkpoint.pickles.inert import (
    Call,
    Collection,
    Global,
    Inert,
    NotBuildable,
    Span,
    dict_key,
    note_planted,
)
from zoo.checkpoint.pickles.stream import Stream
from zoo.errors import MalformedCheckpoint, UnsupportedFeature

__all__ = ["LONGEST_PROGRAM", "LONGEST_STRING", "Machine"]

LONGEST_PROGRAM: Final = 2**27
"""The most bytes of opcodes. A tensor takes about 200, so this is for 600,000 of them."""

LONGEST_STRING: Final = 2**16
"""What is longer stays in the file; see `Span`."""

_MOST_EMPTY = 2**24
_MOST_MARKS = 100_000
_LONGEST_LINE = 2**26
_LONGEST_NAME = 2**12
# Of bytes or digits: Python refuses to spell an integer of more than 4300 digits, and messages do spell them.
_LONGEST_INTEGER = 2**10
_HIGHEST_PROTOCOL = 5
_CUT_SHORT = "the pickle ends in the middle"

# No opcode takes more than this, but for strings, which look for themselves.
_MARGIN = 1024

_U16 = struct.Struct("<H").unpack_from
_U32 = struct.Struct("<I").unpack_from
_U64 = struct.Struct("<Q").unpack_from
_I32 = struct.Struct("<i").unpack_from
_F64 = struct.Struct(">d").unpack_from


class Machine:
    """Runs one pickle after another out of a stream.

    persistent: what a persistent id stands for; torch keeps storages behind these.
    position: where in the file the next pickle begins.
    """

    def __init__(self, stream: Stream, vocabulary: Vocabulary, persistent: Callable[[object], object]) -> None:
        self.position = stream.begin
        self._stream = stream
        self._vocabulary = vocabulary
        self._persistent = persistent
        self._bytes_left = LONGEST_PROGRAM
        self._objects_left = _MOST_EMPTY

    def load(self) -> object:
        """The object of the pickle that begins at `position`.

        Raises MalformedCheckpoint, with the offset in the file, when this is no pickle or a broken one.
        """
        self._memo: list[object] = []
        self._sparse_memo: dict[int, object] = {}
        self._stack: list[object] = []
        self._marked: list[list[object]] = []
        self._seek(self.position)
        self._at = self.position
        try:
            return self._run()
        except struct.error:
            self._fail(_CUT_SHORT)
        except _Underflow:
            self._fail("an opcode needs more than is on the stack")
        except NotBuildable as error:
            self._fail(str(error))
        except UnicodeDecodeError as error:
            self._fail(f"a string is not {error.encoding}: {error.reason}")
        finally:
            self._memo, self._sparse_memo, self._stack, self._marked = [], {}, [], []

    def _run(self) -> object:
        """The loop. What state dicts are made of stands here; the rest is looked up."""
        data, limit, pos = self._data, self._limit, 0
        stack, marked, memo = self._stack, self._marked, self._memo
        sparse_memo, persistent, rare = self._sparse_memo, self._persistent, _RARE
        try:
            while True:
                if pos > limit:
                    pos = self._next_window(pos)
                    data, limit = self._data, self._limit
                op = data[pos]
                pos += 1
                if op == 0x72:  # LONG_BINPUT
                    (index,) = _U32(data, pos)
                    pos += 4
                    if index == len(memo) and not sparse_memo:
                        memo.append(stack[-1])
                    else:
                        self._remember(index, stack[-1])
                elif op < 0x60:
                    if op == 0x4B:  # BININT1
                        stack.append(data[pos])
                        pos += 1
                    elif op == 0x28:  # MARK
                        marked.append(stack)
                        self._stack = stack = []
                    elif op == 0x58:  # BINUNICODE
                        (length,) = _U32(data, pos)
                        end = pos + 4 + length
                        if length <= LONGEST_STRING and end <= len(data):
                            stack.append(str(data[pos + 4 : end], "utf-8", "surrogatepass"))
                            pos = end
                        else:
                            self._at = self._base + pos - 1
                            pos = self._long_string(pos + 4, length, text=True)
                            data, limit = self._data, self._limit
                    elif op == 0x52:  # REDUCE
                        args = stack.pop()
                        callee = stack[-1]
                        if type(callee) is Global and type(args) is tuple:
                            callee.called = True
                            rebuild = callee.rebuild
                            stack[-1] = Call(callee, args) if rebuild is None else rebuild(args)
                        else:
                            stack[-1] = self._call(callee, args)
                    elif op == 0x4D:  # BININT2
                        stack.append(_U16(data, pos)[0])
                        pos += 2
                    elif op == 0x51:  # BINPERSID
                        stack[-1] = persistent(stack[-1])
                    elif op == 0x29:  # EMPTY_TUPLE
                        stack.append(())
                    elif op == 0x4A:  # BININT
                        stack.append(_I32(data, pos)[0])
                        pos += 4
                    elif op == 0x2E:  # STOP
                        value = stack.pop()
                        self._spend(pos)
                        self.position = self._base + pos
                        return value
                    else:
                        self._at = self._base + pos - 1
                        pos = rare[op](self, pos)
                        data, limit, stack = self._data, self._limit, self._stack
                elif op == 0x68:  # BINGET
                    index = data[pos]
                    stack.append(memo[index] if index < len(memo) else self._recall(index))
                    pos += 1
                elif op == 0x74:  # TUPLE
                    items = tuple(stack)
                    self._stack = stack = marked.pop()
                    stack.append(items)
                elif op == 0x86:  # TUPLE2
                    last = stack.pop()
                    stack[-1] = (stack[-1], last)
                elif op == 0x85:  # TUPLE1
                    stack[-1] = (stack[-1],)
                elif op == 0x89:  # NEWFALSE
                    stack.append(False)
                elif op == 0x6A:  # LONG_BINGET
                    (index,) = _U32(data, pos)
                    stack.append(memo[index] if index < len(memo) else self._recall(index))
                    pos += 4
                elif op == 0x71:  # BINPUT
                    self._remember(data[pos], stack[-1])
                    pos += 1
                elif op == 0x8C:  # SHORT_BINUNICODE
                    content, pos = self._take(pos + 1, data[pos])
                    data, limit = self._data, self._limit
                    stack.append(str(content, "utf-8", "surrogatepass"))
                elif op == 0x94:  # MEMOIZE
                    self._remember(len(memo) + len(self._sparse_memo), stack[-1])
                else:
                    self._at = self._base + pos - 1
                    pos = rare[op](self, pos)
                    data, limit, stack = self._data, self._limit, self._stack
        except KeyError:
            raise self._error(f"{bytes([op])!r} is no opcode") from None
        except IndexError:
            self._at = self._base + pos
            if pos >= len(self._data):
                raise self._error(_CUT_SHORT) from None
            raise _Underflow from None

    # Reading

    def _next_window(self, pos: int) -> int:
        """Go on in a new window."""
        self._at = self._base + pos
        self._spend(pos)
        if self._base + pos >= self._stream.end:
            self._fail(_CUT_SHORT)
        if len(self._marked) > _MOST_MARKS:
            self._fail(f"it begins more than {_MOST_MARKS} tuples, lists or dictionaries inside each other")
        return self._seek(self._base + pos)

    def _spend(self, pos: int) -> None:
        """Count what was read of this window; long strings, which stay in the file, are no part of it."""
        self._bytes_left -= pos
        if self._bytes_left < 0:
            self._fail(f"its opcodes take more than {LONGEST_PROGRAM} bytes")

    def made(self) -> None:
        """Count an object that one byte of the file makes."""
        self._objects_left -= 1
        if not self._objects_left:
            self._fail(f"it makes more than {_MOST_EMPTY} empty containers")

    def _seek(self, offset: int, at_least: int = 0) -> int:
        """Move the window to an offset in the file; the position in it, which is 0."""
        self._base = offset
        self._data = self._stream.window(offset, at_least)
        at_end = offset + len(self._data) >= self._stream.end
        self._limit = len(self._data) - (1 if at_end else _MARGIN)
        return 0

    def _take(self, pos: int, length: int) -> tuple[bytes, int]:
        """`length` bytes from a position in the window, and the position after them, perhaps in a new window."""
        end = pos + length
        if end > len(self._data):
            self._spend(pos)
            pos = self._seek(self._base + pos, length + _MARGIN)
            end = length
            if end > len(self._data):
                self._fail(f"a string of {length} bytes goes past the end of the pickle")
        return self._data[pos:end], end

    def _line(self, pos: int, longest: int = _LONGEST_LINE) -> tuple[bytes, int]:
        """The bytes up to a newline, and the position after it."""
        end = self._data.find(b"\n", pos)
        want = _MARGIN
        while end < 0:
            self._spend(pos)
            want *= 16
            pos = self._seek(self._base + pos, min(want, longest))
            end = self._data.find(b"\n")
            if end < 0 and (want > longest or self._base + len(self._data) >= self._stream.end):
                self._fail("a line does not end" if want <= longest else f"a line is longer than {longest} bytes")
        if end - pos > longest:
            self._fail(f"a line is {end - pos} bytes long; at most {longest} are allowed here")
        return self._data[pos:end], end + 1

    def _long_string(self, pos: int, length: int, *, text: bool) -> int:
        """Push a string that is long or goes past the window."""
        offset = self._base + pos
        if offset + length > self._stream.end:
            self._fail(f"a string of {length} bytes goes past the end of the pickle")
        if length > LONGEST_STRING:
            self._stack.append(Span(offset, length, text))
            if pos + length <= self._limit:
                return pos + length
            self._spend(pos)
            return self._seek(offset + length)
        content, pos = self._take(pos, length)
        self._stack.append(str(content, "utf-8", "surrogatepass") if text else content)
        return pos

    # The memo. What picklers write counts up from 0, and a list takes a fifth of the memory of a dict.

    def _remember(self, index: int, value: object) -> None:
        memo = self._memo
        if index < len(memo):
            memo[index] = value
        elif index == len(memo):
            memo.append(value)
            self._sparse_memo.pop(index, None)
        else:
            self._sparse_memo[index] = value

    def _recall(self, index: int) -> object:
        if 0 <= index < len(self._memo):
            return self._memo[index]
        if index not in self._sparse_memo:
            self._fail(f"it uses what it has not stored: memo {shown_integer(index)}")
        return self._sparse_memo[index]

    # Calls

    def _call(self, callee: object, args: object, kwargs: object = None) -> object:
        """What REDUCE, NEWOBJ and their kin leave on the stack."""
        if not isinstance(callee, Global):
            return Call(callee, args, kwargs)
        callee.called = True
        if callee.rebuild is None or type(args) is not tuple or kwargs:
            return Call(callee, args, kwargs)
        return callee.rebuild(args)

    def _build(self, target: object, state: object) -> None:
        note_planted(state)
        if isinstance(target, Inert):
            target.build(state)
        elif not isinstance(target, dict):
            # An OrderedDict, which is a dict here, may have attributes (`_metadata`); they hold no tensors.
            raise NotBuildable(f"BUILD on {found(target)}")

    def _extend(self, target: object, items: list[object]) -> None:
        if isinstance(target, (list, Call)):
            target.extend(items)
        elif isinstance(target, Global):
            target.called = target.altered = True
        elif not isinstance(target, dict):
            # An OrderedDict with an attribute `append`, which `note_planted` has seen, would call it.
            raise NotBuildable(f"APPEND on {found(target)}")

    def _set(self, target: object, flat: list[object]) -> None:
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

    def _error(self, problem: str) -> MalformedCheckpoint:
        stream = self._stream
        label = f"{quoted(stream.label)}: " if stream.label else ""
        return MalformedCheckpoint(f"{shown_path(stream.path)}: {label}{problem} (at byte {self._at}).")

    def _fail(self, problem: str) -> NoReturn:
        raise self._error(problem)

    def _unsupported(self, problem: str) -> NoReturn:
        raise UnsupportedFeature(f"{shown_path(self._stream.path)}: {problem} (at byte {self._at}).")

    def _pop(self) -> object:
        if not self._stack:
            raise _Underflow
        return self._stack.pop()

    def _pop_mark(self) -> list[object]:
        items = self._stack
        if not self._marked:
            raise _Underflow
        self._stack = self._marked.pop()
        return items

    def _top(self) -> object:
        if not self._stack:
            raise _Underflow
        return self._stack[-1]


class _Underflow(IndexError):
    """An opcode needs more than is on the stack."""


def _proto(machine: Machine, pos: int) -> int:
    protocol = machine._data[pos]
    if protocol > _HIGHEST_PROTOCOL:
        machine._unsupported(f"it says that it is of pickle protocol {protocol}; up to {_HIGHEST_PROTOCOL} is known")
    return pos + 1


def _frame(machine: Machine, pos: int) -> int:
    (length,) = _U64(machine._data, pos)
    if machine._base + pos + 8 + length > machine._stream.end:
        machine._fail(f"a frame of {length} bytes goes past the end of the pickle")
    return pos + 8


def _push(value: object) -> Callable[[Machine, int], int]:
    def push(machine: Machine, pos: int) -> int:
        machine._stack.append(value)
        return pos

    return push


def _empty_dict(machine: Machine, pos: int) -> int:
    machine.made()
    machine._stack.append({})
    return pos


def _empty_list(machine: Machine, pos: int) -> int:
    machine.made()
    machine._stack.append([])
    return pos


def _empty_set(machine: Machine, pos: int) -> int:
    machine.made()
    machine._stack.append(Collection([]))
    return pos


def _tuple3(machine: Machine, pos: int) -> int:
    stack = machine._stack
    if len(stack) < 3:
        raise _Underflow
    stack[-3:] = [tuple(stack[-3:])]
    return pos


def _list(machine: Machine, pos: int) -> int:
    items = machine._pop_mark()
    machine._stack.append(items)
    return pos


def _dict(machine: Machine, pos: int) -> int:
    items = machine._pop_mark()
    machine._stack.append({})
    machine._set(machine._stack[-1], items)
    return pos


def _frozenset(machine: Machine, pos: int) -> int:
    items = machine._pop_mark()
    machine._stack.append(Collection(items))
    return pos


def _append(machine: Machine, pos: int) -> int:
    item = machine._pop()
    machine._extend(machine._top(), [item])
    return pos


def _appends(machine: Machine, pos: int) -> int:
    items = machine._pop_mark()
    machine._extend(machine._top(), items)
    return pos


def _additems(machine: Machine, pos: int) -> int:
    items = machine._pop_mark()
    target = machine._top()
    if isinstance(target, Collection):
        target.items.extend(items)
    elif isinstance(target, list):
        raise NotBuildable("ADDITEMS on a list")
    else:
        machine._extend(target, items)
    return pos


def _setitem(machine: Machine, pos: int) -> int:
    value, key = machine._pop(), machine._pop()
    machine._set(machine._top(), [key, value])
    return pos


def _setitems(machine: Machine, pos: int) -> int:
    items = machine._pop_mark()
    machine._set(machine._top(), items)
    return pos


def _build(machine: Machine, pos: int) -> int:
    state = machine._pop()
    machine._build(machine._top(), state)
    return pos


def _pop(machine: Machine, pos: int) -> int:
    if machine._stack:
        machine._stack.pop()
    else:
        machine._pop_mark()
    return pos


def _pop_mark(machine: Machine, pos: int) -> int:
    machine._pop_mark()
    return pos


def _dup(machine: Machine, pos: int) -> int:
    machine._stack.append(machine._top())
    return pos


def _global(machine: Machine, pos: int) -> int:
    module, pos = machine._line(pos, _LONGEST_NAME)
    name, pos = machine._line(pos, _LONGEST_NAME)
    machine._stack.append(machine._vocabulary.named(module.decode(), name.decode()))
    return pos


def _stack_global(machine: Machine, pos: int) -> int:
    name, module = machine._pop(), machine._pop()
    if type(name) is not str or type(module) is not str:
        machine._fail(f"STACK_GLOBAL needs two strings, found {found(module)} and {found(name)}")
    if len(name) > _LONGEST_NAME or len(module) > _LONGEST_NAME:
        machine._fail(f"the name of a global is longer than {_LONGEST_NAME} characters")
    machine._stack.append(machine._vocabulary.named(module, name))
    return pos


def _extension(size: int) -> Callable[[Machine, int], int]:
    def extension(machine: Machine, pos: int) -> int:
        content, pos = machine._take(pos, size)
        code = int.from_bytes(content, "little")
        if not 0 < code < 2**31:
            machine._fail(f"{code} is no extension code")
        # Which global this is stands in a table of the unpickling program, so it may be any.
        machine._stack.append(machine._vocabulary.named("copyreg", f"extension {code}"))
        return pos

    return extension


def _newobj(machine: Machine, pos: int) -> int:
    args, cls = machine._pop(), machine._pop()
    machine._stack.append(machine._call(cls, args))
    return pos


def _newobj_ex(machine: Machine, pos: int) -> int:
    kwargs, args, cls = machine._pop(), machine._pop(), machine._pop()
    machine._stack.append(machine._call(cls, args, kwargs))
    return pos


def _inst(machine: Machine, pos: int) -> int:
    module, pos = machine._line(pos, _LONGEST_NAME)
    name, pos = machine._line(pos, _LONGEST_NAME)
    args = tuple(machine._pop_mark())
    machine._stack.append(machine._call(machine._vocabulary.named(module.decode(), name.decode()), args))
    return pos


def _obj(machine: Machine, pos: int) -> int:
    items = machine._pop_mark()
    if not items:
        raise _Underflow
    machine._stack.append(machine._call(items[0], tuple(items[1:])))
    return pos


def _persid(machine: Machine, pos: int) -> int:
    line, pos = machine._line(pos)
    machine._stack.append(machine._persistent(line.decode("ascii")))
    return pos


def _text(content: bytes) -> str | bytes:
    """A Python 2 string: text where it is text, as torch reads it, else the bytes."""
    try:
        return content.decode()
    except UnicodeDecodeError:
        return content


def _int(machine: Machine, pos: int) -> int:
    line, pos = machine._line(pos)
    machine._stack.append({b"00": False, b"01": True}[line] if line in (b"00", b"01") else _decimal(machine, line))
    return pos


def _long(machine: Machine, pos: int) -> int:
    line, pos = machine._line(pos)
    machine._stack.append(_decimal(machine, line.removesuffix(b"L")))
    return pos


def _decimal(machine: Machine, digits: bytes) -> int:
    try:
        return int(digits[:_LONGEST_INTEGER]) if len(digits) <= _LONGEST_INTEGER else int("too long")
    except ValueError:
        machine._fail(f"{digits[:40]!r} is no integer of at most {_LONGEST_INTEGER} digits")


def _long1(machine: Machine, pos: int) -> int:
    content, pos = machine._take(pos + 1, machine._data[pos])
    machine._stack.append(int.from_bytes(content, "little", signed=True))
    return pos


def _long4(machine: Machine, pos: int) -> int:
    (length,) = _I32(machine._data, pos)
    if not 0 <= length <= _LONGEST_INTEGER:
        machine._fail(f"an integer of {length} bytes; at most {_LONGEST_INTEGER} are allowed")
    content, pos = machine._take(pos + 4, length)
    machine._stack.append(int.from_bytes(content, "little", signed=True))
    return pos


def _float(machine: Machine, pos: int) -> int:
    line, pos = machine._line(pos, _LONGEST_NAME)
    try:
        machine._stack.append(float(line))
    except ValueError:
        machine._fail(f"{line[:40]!r} is no number")
    return pos


def _binfloat(machine: Machine, pos: int) -> int:
    machine._stack.append(_F64(machine._data, pos)[0])
    return pos + 8


def _string(machine: Machine, pos: int) -> int:
    line, pos = machine._line(pos)
    if len(line) < 2 or line[:1] != line[-1:] or line[:1] not in (b"'", b'"'):
        machine._fail("a string is not in quotes")
    try:
        machine._stack.append(_text(escape_decode(line[1:-1])[0]))
    except ValueError as error:
        machine._fail(f"a string has a broken escape: {error}")
    return pos


def _unicode(machine: Machine, pos: int) -> int:
    line, pos = machine._line(pos)
    machine._stack.append(line.decode("raw-unicode-escape"))
    return pos


def _binstring(machine: Machine, pos: int) -> int:
    (length,) = _I32(machine._data, pos)
    if length < 0:
        machine._fail(f"a string of {length} bytes")
    pos = machine._long_string(pos + 4, length, text=False)
    content = machine._stack[-1]
    if isinstance(content, bytes):
        machine._stack[-1] = _text(content)
    return pos


def _short_binstring(machine: Machine, pos: int) -> int:
    content, pos = machine._take(pos + 1, machine._data[pos])
    machine._stack.append(_text(content))
    return pos


def _short_binbytes(machine: Machine, pos: int) -> int:
    content, pos = machine._take(pos + 1, machine._data[pos])
    machine._stack.append(content)
    return pos


def _binbytes(machine: Machine, pos: int) -> int:
    return machine._long_string(pos + 4, _U32(machine._data, pos)[0], text=False)


def _binbytes8(machine: Machine, pos: int) -> int:
    return machine._long_string(pos + 8, _U64(machine._data, pos)[0], text=False)


def _binunicode8(machine: Machine, pos: int) -> int:
    return machine._long_string(pos + 8, _U64(machine._data, pos)[0], text=True)


def _get(machine: Machine, pos: int) -> int:
    line, pos = machine._line(pos, _LONGEST_NAME)
    machine._stack.append(machine._recall(_decimal(machine, line)))
    return pos


def _put(machine: Machine, pos: int) -> int:
    line, pos = machine._line(pos, _LONGEST_NAME)
    index = _decimal(machine, line)
    if index < 0:
        machine._fail(f"it stores at memo {shown_integer(index)}")
    machine._remember(index, machine._top())
    return pos


def _next_buffer(machine: Machine, pos: int) -> int:
    machine._unsupported("the pickle refers to buffers that are kept outside of it")


def _nothing(machine: Machine, pos: int) -> int:
    machine._top()
    return pos


_RARE: dict[int, Callable[[Machine, int], int]] = {
    opcode[0]: handler
    for opcode, handler in {
        b"\x80": _proto,
        b"\x95": _frame,
        b"N": _push(None),
        b"\x88": _push(True),
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
        b"g": _get,
        b"p": _put,
        b"\x97": _next_buffer,
        b"\x98": _nothing,  # READONLY_BUFFER
    }.items()
}
