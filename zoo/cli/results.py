"""What tasks return, as text and as JSON, by its shape: a pipeline of a plugin needs no code here.

A result may say itself how it is shown, by `text` or by `rows` of cells, and what it is in JSON, by `to_json()`. One
that `save(path)` writes to a file is written with --out, when its pipeline's class says under `file_suffixes` how such
files end.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any

from zoo.cli.output import json_text
from zoo.cli.text import escaped, without_controls
from zoo.describe import Json

__all__ = ["result_fields", "result_text", "to_json"]


def result_text(result: Any, source: str | None = None) -> str:
    """A result for people: its text if it has one; its `rows`, one per line, with the name of its source before each if
    one is given; "label<tab>score" for labels, all on one line; else its JSON.
    """
    text = getattr(result, "text", None)
    if isinstance(text, str):
        return without_controls(text)
    rows = getattr(result, "rows", None)
    if rows is not None:
        before = () if source is None else (source,)
        return "\n".join("\t".join(escaped(str(cell)) for cell in (*before, *row)) for row in rows)
    if _is_list(result) and result and all(hasattr(item, "label") and hasattr(item, "score") for item in result):
        return "\t".join(f"{escaped(str(item.label))}\t{item.score:.4f}" for item in result)
    return json_text(to_json(result))


def result_fields(result: Any) -> Mapping[str, Json]:
    """A result as the fields of a JSON object: its own fields, or "results" for what is a list or a single value."""
    fields = to_json(result)
    return fields if isinstance(fields, dict) else {"results": fields}


def to_json(value: Any) -> Json:
    """Dataclasses as objects, sequences and tensors as lists; what JSON has nothing for, as it prints.

    What has a method `to_json` says itself what it is.
    """
    if hasattr(value, "to_json") and not isinstance(value, type):
        return to_json(value.to_json())
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Enum):
        return to_json(value.value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_json(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if _is_list(value):
        return [to_json(item) for item in value]
    if hasattr(value, "tolist"):  # tensors and arrays
        return to_json(value.tolist())
    return str(value)


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)
