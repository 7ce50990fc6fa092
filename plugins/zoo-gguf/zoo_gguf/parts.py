"""Checkpoints that llama.cpp's `llama-gguf-split` cut into several files, `NAME-00001-of-00003.gguf` and so on."""

from __future__ import annotations

import re
from pathlib import Path

from zoo.checkpoint.describe import listed, quoted, shown_path
from zoo.errors import MalformedCheckpoint, UnsupportedFeature
from zoo_gguf.header import Header, read_header

__all__ = ["read_parts"]

_NAME = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf", re.DOTALL)


def read_parts(header: Header) -> tuple[Header, ...]:
    """All the parts of the checkpoint that a file belongs to, in order; the file alone when it was not split.

    Raises UnsupportedFeature when the file is not named as a part, so that the others can't be found, and
    MalformedCheckpoint when parts are missing or don't belong together.
    """
    count = header.metadata.get("split.count", 1)
    if type(count) is not int or count < 0:
        raise MalformedCheckpoint(f"{shown_path(header.path)}: key 'split.count': found {count!r}; expected a number.")
    if count <= 1:
        return (header,)
    match = _NAME.fullmatch(header.path.name)
    if match is None or int(match["count"]) != count:
        raise UnsupportedFeature(
            f"{shown_path(header.path)}: this is one of {count} parts, but is not named as one.",
            hint=f"Name them NAME-00001-of-{count:05}.gguf and so on, or merge them: `llama-gguf-split --merge`.",
        )
    paths = [header.path.with_name(f"{match['stem']}-{number:05}-of-{count:05}.gguf") for number in range(1, count + 1)]
    missing = [path.name for path in paths if not path.is_file()]
    if missing:
        raise MalformedCheckpoint(
            f"{shown_path(header.path)}: this is one of {count} parts, of which {len(missing)} are missing: "
            f"{listed(map(quoted, missing))}.",
            hint=f"Put all the parts into {shown_path(header.path.parent)}.",
        )
    parts = tuple(header if path == header.path else read_header(path) for path in paths)
    _check_together(parts, paths)
    return parts


def _check_together(parts: tuple[Header, ...], paths: list[Path]) -> None:
    seen: dict[str, Path] = {}
    for index, part in enumerate(parts):
        found = (part.metadata.get("split.no"), part.metadata.get("split.count"))
        if found != (index, len(parts)):
            raise MalformedCheckpoint(
                f"{shown_path(part.path)}: by its metadata this is part {found[0]!r} (counted from 0) of {found[1]!r}; "
                f"by its name, part {index} of {len(parts)}."
            )
        for tensor in part.tensors:
            if tensor.name in seen:
                raise MalformedCheckpoint(
                    f"{shown_path(part.path)}: tensor {quoted(tensor.name)} is also in {shown_path(seen[tensor.name])}."
                )
            seen[tensor.name] = paths[index]
    total = parts[0].metadata.get("split.tensors.count", len(seen))
    if total != len(seen):
        raise MalformedCheckpoint(
            f"{shown_path(parts[0].path)}: the parts hold {len(seen)} tensors; 'split.tensors.count' says {total!r}."
        )
