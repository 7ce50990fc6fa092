"""The names and shapes that safetensors and the programs that read it allow. Reader and writer share these."""

from __future__ import annotations

import math
from collections.abc import Sequence

from zoo.checkpoint.describe import shown_integer, shown_shape

__all__ = [
    "MAX_HEADER_BYTES",
    "MAX_RANK",
    "METADATA_KEY",
    "file_name_problem",
    "is_unicode",
    "name_problem",
    "shape_problem",
]

MAX_HEADER_BYTES = 100_000_000
"""The longest header that the specification's reference reader takes."""

MAX_RANK = 64
"""The most dimensions that numpy holds and torch's kernels take."""

METADATA_KEY = "__metadata__"

_LARGEST_SIZE = 2**63 - 1


def is_unicode(text: str) -> bool:
    """Whether a string can be written as UTF-8; JSON escapes can spell halves of characters, which can't."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def name_problem(name: str) -> str | None:
    """Why this can't be a tensor's name, or None. A name is never used as a path, so it may look like one."""
    if name.isascii() and "\0" not in name:
        return None
    if "\0" in name:
        return "its name holds a NUL character, at which C programs would cut it"
    if not is_unicode(name):
        return "its name holds half of a surrogate pair, which is no text"
    return None


def shape_problem(bits: int, shape: Sequence[int]) -> str | None:
    """Why no tensor of elements of that many bits can have this shape of non-negative integers, or None."""
    if len(shape) > MAX_RANK:
        return f"it has {len(shape)} dimensions, more than {MAX_RANK}"
    total = bits * math.prod(shape)
    if total % 8:
        return f"its {shown_integer(total // bits)} elements of {bits} bits don't fill whole bytes"
    if 0 in shape:
        # An empty tensor has strides nevertheless, and they come from its other dimensions.
        total = bits * math.prod(size for size in shape if size)
    if total > _LARGEST_SIZE * 8:
        return f"its shape {shown_shape(shape)} overflows a signed 64-bit size"
    return None


def file_name_problem(name: str) -> str | None:
    """Why this can't name a file inside a directory, on any system, or None. Slashes may lead deeper into it."""
    if not name:
        return "it is empty"
    if not name.isprintable():
        return "it holds characters that don't print"
    if "\\" in name or ":" in name:
        return "it holds a backslash or colon, which lead elsewhere on Windows"
    if name.startswith("/"):
        return "it is an absolute path"
    if any(part in ("", ".", "..") for part in name.split("/")):
        return "it has an empty part, '.' or '..' in it"
    return None
