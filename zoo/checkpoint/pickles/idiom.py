"""What torch writes for a tensor, taken in one step: 27 opcodes, the same ones for every tensor but for a few numbers.

Run one after the other they are most of what opening a file of many tensors takes. What stands here does to memo and
stack exactly what they would, or nothing: whatever is written in another way is left to the machine.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from functools import lru_cache
from typing import Final

from zoo.checkpoint.pickles.inert import Call, Global

__all__ = ["tensor_arguments"]

_INTEGER = rb"(?:K.|M..|J....)"
_SIZES = rb"(%(i)s\x85|%(i)s{2}\x86|%(i)s{3}\x87|\(%(i)s{4,8}t)" % {b"i": _INTEGER}
_MATCH: Final = re.compile(
    rb"\(\(h(.)h(.)"  # the word "storage", the class of the storage
    rb"X(.)\0\0\0([0-9]{1,20})r(....)"  # its key
    rb"h(.)(%(i)s)tr(....)Q"  # its device, its elements; it is looked up
    rb"(%(i)s)%(s)sr(....)%(s)sr(....)([\x88\x89])"  # offset, shape, strides, whether it has a gradient
    rb"h(.)\)Rr(....)tr(....)" % {b"i": _INTEGER, b"s": _SIZES},  # its hooks: OrderedDict()
    re.DOTALL,
).match
_INDICES: Final = struct.Struct("<6I").pack


def tensor_arguments(
    data: bytes, pos: int, memo: list[object], persistent: Callable[[object], object]
) -> tuple[tuple[object, ...], int] | None:
    """The arguments that a tensor is rebuilt with, when `data` spells them from `pos` on, and the position after them.

    All of them are stored at the end of the memo; `persistent` looks the storage up. None when the opcodes are others.
    """
    match = _MATCH(data, pos)
    if match is None:
        return None
    (
        tag, kind, length, key, key_at, device, elements, identity_at, offset, size, size_at, stride, stride_at,
        gradient, hooks, hooks_at, arguments_at,
    ) = match.groups()  # fmt: skip
    place = len(memo)
    if length[0] != len(key) or key_at + identity_at + size_at + stride_at + hooks_at + arguments_at != _INDICES(
        place, place + 1, place + 2, place + 3, place + 4, place + 5
    ):
        return None
    if max(tag[0], kind[0], device[0], hooks[0]) >= place:
        return None
    callee = memo[hooks[0]]
    if type(callee) is not Global:
        return None
    name = key.decode()
    identity = (memo[tag[0]], memo[kind[0]], name, memo[device[0]], *_integers(elements))
    storage = persistent(identity)
    shape, strides = _integers(size), _integers(stride)
    callee.called = True
    made = Call(callee, ()) if callee.rebuild is None else callee.rebuild(())
    arguments = (storage, *_integers(offset), shape, strides, gradient == b"\x88", made)
    memo += (name, identity, shape, strides, made, arguments)
    return arguments, match.end()


@lru_cache(maxsize=1024)
def _integers(opcodes: bytes) -> tuple[int, ...]:
    """The integers that are pushed. Tuples of the same numbers are one object."""
    numbers = []
    pos = 1 if opcodes.startswith(b"(") else 0
    while (width := _WIDTHS.get(opcodes[pos : pos + 1])) is not None:
        numbers.append(int.from_bytes(opcodes[pos + 1 : pos + 1 + width], "little", signed=width == 4))
        pos += 1 + width
    return tuple(numbers)


_WIDTHS: Final = {b"K": 1, b"M": 2, b"J": 4}
