"""What a preset holds, and which of its sources can be had here and now."""

from __future__ import annotations

from zoo.describe.json_types import Description
from zoo.errors import ZooError
from zoo.hub import locate
from zoo.registry import Entry
from zoo.spec import PresetSpec

__all__ = ["preset_details"]


def preset_details(entry: Entry[PresetSpec]) -> Description:
    """What is to be told of a preset beyond its spec. The first source with a path is the one that is loaded."""
    return {
        "sources": [_source(reference) for reference in entry.spec.sources],
        "config": dict(entry.spec.config),
    }


def _source(reference: str) -> Description:
    try:
        path = locate(reference)
    except ZooError as error:
        return {"reference": reference, "path": None, "reason": error.message.removeprefix(f"{reference}: ")}
    return {"reference": reference, "path": str(path), "reason": None}
