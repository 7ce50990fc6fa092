"""From a name or reference to what it means, among all kinds of things that have names."""

from __future__ import annotations

import os
from typing import Any

from zoo.describe.entries import describe_entry
from zoo.describe.json_types import Description
from zoo.errors import NameNotFound
from zoo.hub import existing_path, is_reference
from zoo.registry import Catalog, Entry, registry
from zoo.registry.names import NOUNS

__all__ = ["describe_reference"]

_KINDS = (
    "architectures",
    "tasks",
    "presets",
    "heads",
    "necks",
    "formats",
    "preprocessors",
    "layouts",
    "attention",
    "commands",
)
"""All kinds, those that people ask for most first: a name that several kinds have means the first of them."""


def describe_reference(reference: str | os.PathLike[str], kind: str | None = None) -> Description:
    """The description of what the reference means; see `zoo.describe.describe`."""
    if kind is not None:
        return _describe_named(kind, _catalog(kind).get(os.fspath(reference)))
    if not isinstance(reference, str) or is_reference(reference):
        return _describe_checkpoint(reference)
    kinds = _kinds_of(reference.rpartition(":")[2])
    for each in kinds:
        entry = _catalog(each).find(reference)
        if entry is not None:
            return _describe_named(each, entry) | {"also": [other for other in kinds if other != each]}
    if existing_path(reference) is not None:
        return _describe_checkpoint(reference)
    raise _unknown(reference)


def _kinds_of(bare_name: str) -> list[str]:
    """The kinds that have the name: those where it is a name before those where it is an alias."""
    kinds = [kind for kind in _KINDS if bare_name in _catalog(kind).names()]
    return sorted(kinds, key=lambda kind: all(entry.spec.name != bare_name for entry in _catalog(kind)))


def _describe_checkpoint(reference: str | os.PathLike[str]) -> Description:
    from zoo.describe.checkpoint import describe_checkpoint

    return {"kind": "checkpoint", **describe_checkpoint(reference)}


def _describe_named(kind: str, entry: Entry[Any]) -> Description:
    description: Description = {"kind": NOUNS[kind], **describe_entry(_catalog(kind), entry)}
    if kind == "architectures":
        from zoo.describe.architecture import architecture_details

        return description | architecture_details(entry)
    if kind == "tasks":
        heads = registry().heads
        of_task = [describe_entry(heads, head) for head in heads if entry.goes_by(head.spec.task)]
        return description | {"heads": of_task}
    if kind == "presets":
        from zoo.describe.preset import preset_details

        return description | preset_details(entry)
    return description


def _unknown(name: str) -> NameNotFound:
    """The registry's error of the kind that has the likeliest name, said of all kinds."""
    import difflib

    def likeness(kind: str) -> float:
        known = _catalog(kind).names()
        if any(each.startswith(name) for each in known):
            return 1.0
        return max((difflib.SequenceMatcher(None, name.lower(), each).ratio() for each in known), default=0.0)

    likeliest = max(_KINDS, key=likeness)
    near = likeness(likeliest) >= 0.6  # where difflib's own suggestions begin
    try:
        _catalog(likeliest if near else "architectures").get(name)
    except NameNotFound as error:
        hint = error.hint if near else f"{error.hint}\n`zoo list` shows all names."
        return NameNotFound(
            f"There is nothing called {name!r}: no architecture, task, preset or other name of a plugin, "
            "and no file or directory.",
            hint=hint,
        )
    raise AssertionError(f"{name} is a name of {likeliest}")  # it was looked up before


def _catalog(kind: str) -> Catalog[Any]:
    catalog: Catalog[Any] = getattr(registry(), kind)
    return catalog
