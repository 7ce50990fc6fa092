"""The small files around the tensors (config.json, tokenizer.json, ...), whether they lie in a directory or inside
a checkpoint.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from zoo.errors import MalformedCheckpoint

__all__ = ["EMPTY_FILES", "DirectoryFiles", "MemoryFiles", "ModelFiles", "read_json"]


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
        return tuple(sorted(path.name for path in self.directory.iterdir() if path.is_file()))

    def read(self, name: str) -> bytes | None:
        path = self.directory / name
        return path.read_bytes() if path.is_file() else None


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


def read_json(files: ModelFiles, name: str) -> dict[str, Any] | None:
    """The JSON object in a file, or None when there is no such file.

    Raises MalformedCheckpoint, with the place, when it is not UTF-8 JSON or not an object.
    """
    content = files.read(name)
    if content is None:
        return None
    try:
        value = json.loads(content)
    except UnicodeDecodeError as error:
        raise MalformedCheckpoint(f"{files.location}: {name} is not UTF-8: {error}.") from error
    except json.JSONDecodeError as error:
        raise MalformedCheckpoint(
            f"{files.location}: {name} is not valid JSON: {error.msg} at line {error.lineno}, column {error.colno}."
        ) from error
    except RecursionError as error:
        raise MalformedCheckpoint(f"{files.location}: {name} is nested too deeply.") from error
    if not isinstance(value, dict):
        raise MalformedCheckpoint(
            f"{files.location}: {name} holds a JSON {type(value).__name__}; an object was expected."
        )
    return value
