"""Reading the front of a GGUF file, piece by piece, within bounds.

Lengths and counts in a file are claims. Each is checked against the bytes that are there before anything is allocated
or looped over, so that a hostile header costs no more than an honest one of its size.
"""

from __future__ import annotations

import struct
from pathlib import Path

from zoo.checkpoint.describe import shown_path
from zoo.checkpoint.regular_file import read_up_to
from zoo.errors import MalformedCheckpoint

__all__ = ["MAX_HEADER_BYTES", "HeaderCursor"]

MAX_HEADER_BYTES = 64 * 1024 * 1024
"""The longest header that is read. The largest vocabularies published (a quarter of a million tokens) take 20 MB."""

_FIRST_READ = 256 * 1024
_U32 = struct.Struct("<I")
_U64 = struct.Struct("<Q")


class HeaderCursor:
    """A position in the header of a file, which is read in growing pieces as the position moves on.

    reading: what is being read, for messages; whoever moves the cursor keeps it up to date.
    """

    def __init__(self, descriptor: int, size: int, path: Path) -> None:
        self.path = path
        self.size = size
        self.position = 0
        self.reading = "the magic number"
        self.buffer = b""
        self._descriptor = descriptor

    def malformed(self, problem: str, *, hint: str | None = None) -> MalformedCheckpoint:
        """The error for what is being read, to be raised."""
        return MalformedCheckpoint(f"{shown_path(self.path)}: {self.reading}: {problem}", hint=hint)

    def require(self, end: int) -> int:
        """See to it that `buffer` holds the file's bytes up to `end`; returns how many it holds."""
        held = len(self.buffer)
        if end <= held:
            return held
        if end > self.size:
            raise self.malformed(
                f"it lies at bytes {self.position}..{end}, but the file ends at {self.size}.",
                hint="The file is truncated or still being written; get it again.",
            )
        if end > MAX_HEADER_BYTES:
            raise self.malformed(
                f"it lies at bytes {self.position}..{end}, beyond the {MAX_HEADER_BYTES} bytes that a header may take.",
                hint="The file is damaged, or made to harm; get it again from where it came from.",
            )
        target = min(max(end, 2 * held, _FIRST_READ), self.size, MAX_HEADER_BYTES)
        self.buffer += read_up_to(self._descriptor, target - held, held, self.path)
        if len(self.buffer) < end:
            self.size = len(self.buffer)  # it was cut while it was read
            return self.require(end)
        return len(self.buffer)

    def take(self, count: int) -> bytes:
        """The next `count` bytes."""
        end = self.position + count
        self.require(end)
        taken = self.buffer[self.position : end]
        self.position = end
        return taken

    def u32(self) -> int:
        """The next unsigned 32-bit integer."""
        return int(_U32.unpack(self.take(4))[0])

    def u64(self) -> int:
        """The next unsigned 64-bit integer."""
        return int(_U64.unpack(self.take(8))[0])

    def string(self, longest: int | None = None) -> str:
        """The next string: a 64-bit length and so many bytes of UTF-8."""
        length = self.u64()
        if longest is not None and length > longest:
            raise self.malformed(f"it is a string of {length} bytes; at most {longest} were expected.")
        content = self.take(length)
        try:
            return content.decode()
        except UnicodeDecodeError as error:
            raise self.malformed(f"it is not UTF-8: {error.reason} at byte {error.start} of {length}.") from error
