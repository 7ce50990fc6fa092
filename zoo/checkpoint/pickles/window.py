"""The bytes of a pickle that the machine looks at: a part of its stream at a time, moved on as opcodes are read."""

from __future__ import annotations

from typing import Final, NoReturn

from zoo.checkpoint.describe import quoted, shown_path
from zoo.checkpoint.pickles.stream import Stream
from zoo.errors import MalformedCheckpoint, UnsupportedFeature

__all__ = ["CUT_SHORT", "LONGEST_PROGRAM", "Window"]

LONGEST_PROGRAM: Final = 2**27
"""The most bytes of opcodes. A tensor takes about 200, so this is for 600,000 of them."""

CUT_SHORT: Final = "the pickle ends in the middle"

_LONGEST_LINE = 2**26

# No opcode takes more than this, but for strings, which look for themselves.
_MARGIN = 1024


class Window:
    """data: bytes of the file from `base` on. limit: the last position in them at which an opcode may begin; after it,
    the window is moved. end: where the stream ends in the file. at: the opcode that messages are about, in the file.
    """

    def __init__(self, stream: Stream) -> None:
        self.end = stream.end
        self.at = stream.begin
        self._stream = stream
        self._bytes_left = LONGEST_PROGRAM

    def seek(self, offset: int, at_least: int = 0) -> int:
        """Move the window to an offset in the file; the position in it, which is 0."""
        self.base = offset
        self.data = self._stream.window(offset, at_least)
        at_end = offset + len(self.data) >= self.end
        self.limit = len(self.data) - (1 if at_end else _MARGIN)
        return 0

    def spend(self, pos: int) -> None:
        """Count what was read of this window; long strings, which stay in the file, are no part of it."""
        self._bytes_left -= pos
        if self._bytes_left < 0:
            self.fail(f"its opcodes take more than {LONGEST_PROGRAM} bytes")

    def take(self, pos: int, length: int) -> tuple[bytes, int]:
        """`length` bytes from a position in the window, and the position after them, perhaps in a new window."""
        end = pos + length
        if end > len(self.data):
            self.spend(pos)
            pos = self.seek(self.base + pos, length + _MARGIN)
            end = length
            if end > len(self.data):
                self.fail(f"a string of {length} bytes goes past the end of the pickle")
        return self.data[pos:end], end

    def line(self, pos: int, longest: int = _LONGEST_LINE) -> tuple[bytes, int]:
        """The bytes up to a newline, and the position after it."""
        end = self.data.find(b"\n", pos)
        want = _MARGIN
        while end < 0:
            self.spend(pos)
            want *= 16
            pos = self.seek(self.base + pos, min(want, longest))
            end = self.data.find(b"\n")
            if end < 0 and (want > longest or self.base + len(self.data) >= self.end):
                self.fail("a line does not end" if want <= longest else f"a line is longer than {longest} bytes")
        if end - pos > longest:
            self.fail(f"a line is {end - pos} bytes long; at most {longest} are allowed here")
        return self.data[pos:end], end + 1

    def error(self, problem: str) -> MalformedCheckpoint:
        """What is wrong with the pickle, and where."""
        stream = self._stream
        label = f"{quoted(stream.label)}: " if stream.label else ""
        return MalformedCheckpoint(f"{shown_path(stream.path)}: {label}{problem} (at byte {self.at}).")

    def fail(self, problem: str) -> NoReturn:
        """Raise that error."""
        raise self.error(problem)

    def unsupported(self, problem: str) -> NoReturn:
        """Raise UnsupportedFeature."""
        raise UnsupportedFeature(f"{shown_path(self._stream.path)}: {problem} (at byte {self.at}).")
