"""The pickle machine of protocols 0 to 5, for reading only: it imports nothing and calls nothing that a pickle names.

The opcodes are those of Python's pickletools. What they would import becomes an `inert.Global`, what they would call an
`inert.Call`; only what tensors are stored with means more (`Vocabulary`). Whatever a file holds, work and memory are
bounded by its size and by the limits below.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final

from zoo.checkpoint.describe import shown_integer
from zoo.checkpoint.pickles.globals import Vocabulary
from zoo.checkpoint.pickles.idiom import tensor_arguments
from zoo.checkpoint.pickles.inert import Call, Global, NotBuildable, Span
from zoo.checkpoint.pickles.opcodes import RARE, Underflow, call
from zoo.checkpoint.pickles.stream import Stream
from zoo.checkpoint.pickles.window import CUT_SHORT, LONGEST_PROGRAM, Window

__all__ = ["LONGEST_PROGRAM", "LONGEST_STRING", "Machine"]

LONGEST_STRING: Final = 2**16
"""What is longer stays in the file; see `Span`."""

_MOST_EMPTY = 2**24
_MOST_MARKS = 100_000

_U16 = struct.Struct("<H").unpack_from
_U32 = struct.Struct("<I").unpack_from
_I32 = struct.Struct("<i").unpack_from


class Machine(Window):
    """Runs one pickle after another out of a stream.

    named: the record of a global, by module and name. persistent: what a persistent id stands for; torch keeps storages
    behind these. position: where in the file the next pickle begins.
    stack: since the last mark; what was on it before waits in `_marked`.
    """

    def __init__(self, stream: Stream, vocabulary: Vocabulary, persistent: Callable[[object], object]) -> None:
        super().__init__(stream)
        self.position = stream.begin
        self.named = vocabulary.named
        self.persistent = persistent
        self._objects_left = _MOST_EMPTY

    def load(self) -> object:
        """The object of the pickle that begins at `position`.

        Raises MalformedCheckpoint, with the offset in the file, when this is no pickle or a broken one.
        """
        self._memo: list[object] = []
        self._sparse_memo: dict[int, object] = {}
        self.stack: list[object] = []
        self._marked: list[list[object]] = []
        self.seek(self.position)
        self.at = self.position
        try:
            return self._run()
        except Underflow:
            self.fail("an opcode needs more than is on the stack")
        except NotBuildable as error:
            self.fail(str(error))
        except UnicodeDecodeError as error:
            self.fail(f"a string is not {error.encoding}: {error.reason}")
        finally:
            self._memo, self._sparse_memo, self.stack, self._marked = [], {}, [], []

    def _run(self) -> object:
        """The loop. What state dicts are made of stands here; the rest is looked up."""
        data, limit, pos = self.data, self.limit, 0
        stack, marked, memo = self.stack, self._marked, self._memo
        sparse_memo, persistent, rare = self._sparse_memo, self.persistent, RARE
        try:
            while True:
                if pos > limit:
                    pos = self._next_window(pos)
                    data, limit = self.data, self.limit
                op = data[pos]
                pos += 1
                if op == 0x72:  # LONG_BINPUT
                    (index,) = _U32(data, pos)
                    pos += 4
                    if index == len(memo) and not sparse_memo:
                        memo.append(stack[-1])
                    else:
                        self.remember(index, stack[-1])
                elif op < 0x60:
                    if op == 0x4B:  # BININT1
                        stack.append(data[pos])
                        pos += 1
                    elif op == 0x28:  # MARK
                        if data[pos] == 0x28 and not sparse_memo:  # another one, as where a tensor begins
                            taken = tensor_arguments(data, pos - 1, memo, persistent)
                            if taken is not None:
                                arguments, pos = taken
                                stack.append(arguments)
                                continue
                        marked.append(stack)
                        self.stack = stack = []
                    elif op == 0x58:  # BINUNICODE
                        (length,) = _U32(data, pos)
                        end = pos + 4 + length
                        if length <= LONGEST_STRING and end <= len(data):
                            try:
                                stack.append(str(data[pos + 4 : end], "utf-8", "surrogatepass"))
                            except UnicodeDecodeError:
                                self.at = self.base + pos - 1
                                raise
                            pos = end
                        else:
                            self.at = self.base + pos - 1
                            pos = self.long_string(pos + 4, length, text=True)
                            data, limit = self.data, self.limit
                    elif op == 0x52:  # REDUCE
                        args = stack.pop()
                        callee = stack[-1]
                        if type(callee) is Global and type(args) is tuple:
                            callee.called = True
                            rebuild = callee.rebuild
                            stack[-1] = Call(callee, args) if rebuild is None else rebuild(args)
                        else:
                            stack[-1] = call(callee, args)
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
                        self.spend(pos)
                        self.position = self.base + pos
                        return value
                    else:
                        self.at = self.base + pos - 1
                        pos = rare[op](self, pos)
                        data, limit, stack = self.data, self.limit, self.stack
                elif op == 0x68:  # BINGET
                    index = data[pos]
                    stack.append(memo[index] if index < len(memo) else self.recall(index))
                    pos += 1
                elif op == 0x74:  # TUPLE
                    items = tuple(stack)
                    self.stack = stack = marked.pop()
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
                    stack.append(memo[index] if index < len(memo) else self.recall(index))
                    pos += 4
                elif op == 0x71:  # BINPUT
                    self.remember(data[pos], stack[-1])
                    pos += 1
                elif op == 0x8C:  # SHORT_BINUNICODE
                    content, pos = self.take(pos + 1, data[pos])
                    data, limit = self.data, self.limit
                    try:
                        stack.append(str(content, "utf-8", "surrogatepass"))
                    except UnicodeDecodeError:
                        self.at = self.base + pos - len(content) - 2
                        raise
                elif op == 0x94:  # MEMOIZE
                    self.remember(len(memo) + len(self._sparse_memo), stack[-1])
                else:
                    self.at = self.base + pos - 1
                    pos = rare[op](self, pos)
                    data, limit, stack = self.data, self.limit, self.stack
        except KeyError:
            raise self.error(f"{bytes([op])!r} is no opcode") from None
        except struct.error:
            self.at = self.base + pos
            raise self.error(CUT_SHORT) from None
        except IndexError:
            self.at = self.base + pos
            if pos >= len(self.data):
                raise self.error(CUT_SHORT) from None
            raise Underflow from None

    def _next_window(self, pos: int) -> int:
        """Go on in a new window."""
        self.at = self.base + pos
        self.spend(pos)
        if self.base + pos >= self.end:
            self.fail(CUT_SHORT)
        if len(self._marked) > _MOST_MARKS:
            self.fail(f"it begins more than {_MOST_MARKS} tuples, lists or dictionaries inside each other")
        return self.seek(self.base + pos)

    def made(self) -> None:
        """Count an object that one byte of the file makes."""
        self._objects_left -= 1
        if not self._objects_left:
            self.fail(f"it makes more than {_MOST_EMPTY} empty containers")

    def long_string(self, pos: int, length: int, *, text: bool) -> int:
        """Push a string that is long or goes past the window."""
        offset = self.base + pos
        if offset + length > self.end:
            self.fail(f"a string of {length} bytes goes past the end of the pickle")
        if length > LONGEST_STRING:
            self.stack.append(Span(offset, length, text))
            if pos + length <= self.limit:
                return pos + length
            self.spend(pos)
            return self.seek(offset + length)
        content, pos = self.take(pos, length)
        self.stack.append(str(content, "utf-8", "surrogatepass") if text else content)
        return pos

    # The memo. What picklers write counts up from 0, and a list takes a fifth of the memory of a dict.

    def remember(self, index: int, value: object) -> None:
        """Store a value in the memo."""
        memo = self._memo
        if index < len(memo):
            memo[index] = value
        elif index == len(memo):
            memo.append(value)
            self._sparse_memo.pop(index, None)
        else:
            self._sparse_memo[index] = value

    def recall(self, index: int) -> object:
        """A value of the memo."""
        if 0 <= index < len(self._memo):
            return self._memo[index]
        if index not in self._sparse_memo:
            self.fail(f"it uses what it has not stored: memo {shown_integer(index)}")
        return self._sparse_memo[index]

    # The stack

    def pop(self) -> object:
        """The topmost value, taken off."""
        if not self.stack:
            raise Underflow
        return self.stack.pop()

    def pop_mark(self) -> list[object]:
        """All values above the last mark, taken off with it."""
        items = self.stack
        if not self._marked:
            raise Underflow
        self.stack = self._marked.pop()
        return items

    def top(self) -> object:
        """The topmost value."""
        if not self.stack:
            raise Underflow
        return self.stack[-1]
