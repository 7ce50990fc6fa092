"""The small files around the tensors (config.json, tokenizer.json, ...), whether they lie in a directory or inside
a checkpoint.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from zoo.checkpoint.describe import quoted, shown_path
from zoo.checkpoint.regular_file import open_regular, read_up_to
from zoo.checkpoint.strict_json import first_repeated, parse_object
from zoo.errors import CheckpointError, MalformedCheckpoint

__all__ = ["EMPTY_FILES", "DirectoryFiles", "MemoryFiles", "ModelFiles", "read_json", "read_regular"]

MAX_FILE_BYTES = 2**29
"""Many times the largest tokenizer. It is read as a whole, so that something must bound it."""

MAX_JSON_BYTES = 2**25
"""Many times the longest configuration."""


class ModelFiles(Protocol):
    """The files of a model other than its tensors, by the names the Hub uses."""

    @property
    def location(self) -> str:
        """Where they are, for messages."""
        ...

    def names(self) -> tuple[str, ...]:
        """The names of the files, sorted."""
        ...

    def read(self, name: str) -> bytes | None:
        """The contents, or None when there is no such file."""
        ...


class DirectoryFiles:
    """The files directly inside a directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @property
    def location(self) -> str:
        return str(self.directory)

    def names(self) -> tuple[str, ...]:
        try:
            with os.scandir(self.directory) as entries:
                return tuple(sorted(entry.name for entry in entries if os.path.isfile(entry)))
        except OSError as error:
            raise CheckpointError(f"{shown_path(self.directory)} can't be listed: {error.strerror}.") from error

    def read(self, name: str) -> bytes | None:
        return read_regular(self.directory / name)


class MemoryFiles:
    """Files made on demand, e.g. out of a GGUF's metadata. A function is called when its file is read, once."""

    def __init__(self, location: str, contents: Mapping[str, bytes | Callable[[], bytes]]) -> None:
        self._location = location
        self._contents = dict(contents)

    @property
    def location(self) -> str:
        return self._location

    def names(self) -> tuple[str, ...]:
        return tuple(sorted(self._contents))

    def read(self, name: str) -> bytes | None:
        content = self._contents.get(name)
        if callable(content):
            content = self._contents[name] = content()
        return content


EMPTY_FILES: ModelFiles = MemoryFiles("(no files)", {})
"""Of a checkpoint that carries none."""


def read_json(files: ModelFiles, name: str) -> dict[str, Any] | None:
    """The JSON object in a file, or None when there is no such file.

    Raises MalformedCheckpoint, with the place, when it is not UTF-8 JSON, not an object, or has a key twice.
    """
    content = files.read(name)
    if content is None:
        return None
    place = f"{files.location}: {name}"
    if len(content) > MAX_JSON_BYTES:
        raise MalformedCheckpoint(f"{place} is {len(content)} bytes long; at most {MAX_JSON_BYTES} are read.")
    values = parse_object(content, place=place)
    repeated = first_repeated(values)
    if repeated is not None:
        raise MalformedCheckpoint(f"{place} holds the key {quoted(repeated)} twice in one object.")
    return values


def read_regular(path: Path) -> bytes | None:
    """The contents of a small file; None when there is none, or something else in its place.

    Raises CheckpointError for a file that can't be read or is too large to be one of these.
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            return None
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError:
        pass  # opening it will say the same, in the words of an error of ours
    with open_regular(path) as (descriptor, size):
        if size > MAX_FILE_BYTES:
            raise MalformedCheckpoint(f"{shown_path(path)} is {size} bytes long; at most {MAX_FILE_BYTES} are read.")
        return read_up_to(descriptor, size, 0, path)
