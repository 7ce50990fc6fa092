"""Parts of a checkpoint as JSON, with stable keys."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from zoo.checkpoint.records import CodeReport, Selection
from zoo.describe import Description, Json

__all__ = ["code_to_json", "metadata_to_json", "selection_to_json"]

LONGEST_LIST = 32
"""The vocabulary of a language model, which a GGUF holds in its metadata, is not what one inspects it for."""

LONGEST_TEXT = 2000
DEEPEST = 8


def selection_to_json(selection: Selection | None) -> Json:
    """Which part is the model; null for formats that hold nothing else."""
    if selection is None:
        return None
    return {
        "path": selection.path,
        "candidates": list(selection.candidates),
        "left_out": list(selection.left_out),
        "reason": selection.reason,
    }


def code_to_json(code: CodeReport | None) -> Json:
    """What unpickling would do; null for what is no pickle."""
    if code is None:
        return None
    return {
        "runs_code": code.runs_code,
        "globals": [{"global": use.dotted, "verdict": use.verdict, "called": use.called} for use in code.globals],
    }


def metadata_to_json(metadata: Mapping[str, Any]) -> Description:
    """A format's metadata; what is long becomes {"items": how many, "first": [...]}, or "characters" and "first"."""
    return {str(key): _value(value, DEEPEST) for key, value in metadata.items()}


def _value(value: Any, depth: int) -> Json:
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)  # JSON has no word for infinity
    if isinstance(value, str):
        return value if len(value) <= LONGEST_TEXT else {"characters": len(value), "first": value[:LONGEST_TEXT]}
    if depth and isinstance(value, Mapping):
        return {str(key): _value(each, depth - 1) for key, each in value.items()}
    if depth and isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        if len(value) <= LONGEST_LIST:
            return [_value(each, depth - 1) for each in value]
        return {"items": len(value), "first": [_value(each, depth - 1) for each in value[:LONGEST_LIST]]}
    return f"a {type(value).__name__}"
