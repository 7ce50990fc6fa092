"""A file that is written entirely or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from zoo.checkpoint.output import saving_errors

__all__ = ["whole_file"]


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write in binary, which gets its name, over an earlier file of that name, when the block ends without an
    error; otherwise nothing is left of it. A link stays one, to the new file. It is not flushed to disk.

    Raises SaveError when the system refuses.
    """
    with saving_errors(f"{path} can't be written"):
        target = Path(os.path.realpath(path))
        partial = target.with_name(f".{os.urandom(8).hex()}.partial")
        try:
            with open(partial, "xb") as file:
                yield file
            os.replace(partial, target)
        finally:
            partial.unlink(missing_ok=True)
