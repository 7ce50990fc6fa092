"""What of an interrupted job is done already, and what the job was: so that it can be continued, and no other instead.

The journal is a file of JSON lines in the work folder of a target. Its first line is the binding: the sources, the
options and the version of zoo that decide about every byte that is written. Each further line names a file that is
complete, and is written after that file is on the disk. A line that a crash cut off does not count.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from zoo.checkpoint.describe import listed, shown_path
from zoo.checkpoint.lock import WorkFolder
from zoo.checkpoint.output import saving_errors
from zoo.checkpoint.publication import COMMITTED
from zoo.errors import SaveError

__all__ = ["JOURNAL", "Journal", "Resumption", "is_resumable"]

JOURNAL = "journal"

_FLAGS = (
    os.O_WRONLY
    | os.O_CREAT
    | os.O_APPEND
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
    | getattr(os, "O_NOFOLLOW", 0)
)


@dataclass(frozen=True, slots=True)
class Resumption:
    """How to deal with what an interrupted job left at the target.

    binding: what decides about the result, as JSON: two jobs with equal bindings write the same bytes.
    resume: continue it, if its binding is this one. force: throw it away. With neither it is an error.
    """

    binding: Mapping[str, Any]
    resume: bool = False
    force: bool = False


class Journal:
    """The journal of the job that is running."""

    def __init__(self, path: Path, done: Mapping[str, int], *, force: bool, sync: bool) -> None:
        """done: the files that are complete, with their sizes, out of an earlier run. force: see there."""
        self._path = path
        self._sync = sync
        self.force = force
        """Whether the job, in this run or when it began, was told to replace what is there."""
        self.done = dict(done)

    @classmethod
    def begin(cls, work: WorkFolder, resumption: Resumption, *, sync: bool) -> tuple[Self, bool]:
        """The journal of a new job, or that of an interrupted one which this one continues; and which of them it is.

        Raises SaveError when something else was left there. Nothing is changed then.
        """
        path = work.path / JOURNAL
        left = _read(path)
        if left is not None:
            if not resumption.resume and not resumption.force:
                raise SaveError(
                    f"{shown_path(work.path.parent)}: a job was interrupted here; {_described(work.path, left.done)}.",
                    hint="Continue it with --resume, or throw it away and begin anew with --force "
                    "(resume=True, force=True).",
                )
            if resumption.resume:
                binding = _as_stored(resumption.binding)
                if left.binding is not None and left.binding != binding:
                    raise SaveError(
                        f"{shown_path(work.path.parent)}: the job that was interrupted here is another one: "
                        f"{listed(_differences(left.binding, binding), 10)}.",
                        hint="Begin anew with --force (force=True), or repeat the job as it was with --resume.",
                    )
                if left.binding is not None:
                    with saving_errors(f"{shown_path(path)} can't be continued"):
                        os.truncate(path, left.length)
                    return cls(path, left.done, force=left.force or resumption.force, sync=sync), True
            with saving_errors(f"{shown_path(path)} can't be removed"):
                os.unlink(path)
        return cls(path, {}, force=resumption.force, sync=sync), False

    def open(self, binding: Mapping[str, Any]) -> None:
        """Write the first line of a new job's journal."""
        self._append({"binding": _as_stored(binding), "force": self.force})

    def add(self, name: str, size: int) -> None:
        """Note that a file is complete, on the disk and compared, if those were asked for."""
        self._append({"done": name, "size": size})
        self.done[name] = size

    def forget(self, name: str) -> None:
        """Note that a file is not what it should be after all."""
        self._append({"undone": name})
        self.done.pop(name, None)

    def _append(self, line: Mapping[str, Any]) -> None:
        text = json.dumps(line, sort_keys=True).encode() + b"\n"
        with saving_errors(f"{shown_path(self._path)} can't be written"):
            descriptor = os.open(self._path, _FLAGS, 0o666)
            try:
                while text:
                    text = text[os.write(descriptor, text) :]
                if self._sync:
                    os.fsync(descriptor)
            finally:
                os.close(descriptor)


def is_resumable(work_folder: Path) -> bool:
    """Whether an interrupted job left something there that can be continued."""
    try:
        left = _read(work_folder / JOURNAL)
    except SaveError:
        return False
    return left is not None and left.binding is not None


@dataclass(frozen=True, slots=True)
class _Left:
    binding: Mapping[str, Any] | None
    force: bool
    done: Mapping[str, int]
    length: int


def _read(path: Path) -> _Left | None:
    """What an earlier job wrote; None when there is no journal."""
    if os.path.islink(path):
        raise SaveError(
            f"{shown_path(path)} is a symbolic link; the journal of a job is none.",
            hint=f"Remove {shown_path(path.parent)}.",
        )
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SaveError(f"{shown_path(path)} can't be read: {error.strerror}.") from error
    binding: Mapping[str, Any] | None = None
    force = False
    done: dict[str, int] = {}
    length = 0
    for line in content.splitlines(keepends=True):
        values = _parsed(line)
        if values is None:
            break
        length += len(line)
        if isinstance(values.get("binding"), dict):
            binding, force = values["binding"], values.get("force") is True
        elif isinstance(values.get("done"), str) and type(values.get("size")) is int:
            done[values["done"]] = values["size"]
        elif isinstance(values.get("undone"), str):
            done.pop(values["undone"], None)
    return _Left(binding, force, done, length)


def _parsed(line: bytes) -> dict[str, Any] | None:
    if not line.endswith(b"\n"):
        return None
    try:
        values = json.loads(line)
    except ValueError:
        return None
    return values if isinstance(values, dict) else None


def _described(work: Path, done: Mapping[str, int]) -> str:
    if (work / COMMITTED).exists():
        return "all of its files are complete, but not all under their final names"
    return f"{len(done)} of its files {'is' if len(done) == 1 else 'are'} complete"


def _as_stored(binding: Mapping[str, Any]) -> Any:
    return json.loads(json.dumps(binding, sort_keys=True))


def _differences(before: Mapping[str, Any], now: Mapping[str, Any], path: str = "") -> list[str]:
    """What differs, e.g. "options.dtype was null, is now 'bf16'"."""
    found = []
    for key in sorted({*before, *now}):
        place = f"{path}.{key}" if path else key
        old, new = before.get(key), now.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            found += _differences(old, new, place)
        elif old != new:
            found.append(f"{place} was {json.dumps(old)[:200]}, is now {json.dumps(new)[:200]}")
    return found
