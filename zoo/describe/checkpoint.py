"""What a checkpoint holds, from its headers and small files alone."""

from __future__ import annotations

import os
from collections.abc import Iterable

from zoo.checkpoint import EncodedBytes, TensorRecord, read_json
from zoo.composing import composition_in
from zoo.describe.architecture import describe_features
from zoo.describe.json_types import Description, Json
from zoo.interfaces.config import Config
from zoo.source import Source, open_source

__all__ = ["describe_checkpoint"]

_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt")


def describe_checkpoint(reference: str | os.PathLike[str]) -> Description:
    """The checkpoint that a reference leads to. Raises what `zoo.source.open_source` raises."""
    source = open_source(reference)
    checkpoint, layout = source.checkpoint, source.layout
    stored = composition_in(source.architecture, layout, source.configs)
    head, neck = stored.head, stored.neck
    names = source.files.names()
    return {
        "reference": os.fspath(reference),
        "location": str(checkpoint.location),
        "format": checkpoint.format,
        "architecture": source.architecture.full_name,
        "layout": layout.full_name,
        "neck": neck.full_name if neck is not None else None,
        "head": head.full_name if head is not None else None,
        "task": head.spec.task if head is not None else None,
        "parameters": sum(record.elements for record in checkpoint.values()),
        "tensors": len(checkpoint),
        "context_length": _context_length(source.configs.architecture),
        "tokenizer": next((name for name in _TOKENIZERS if name in names), None),
        "chat_template": _has_chat_template(source),
        "size_bytes": sum(path.stat().st_size for path in checkpoint.files),
        "memory": _memory(checkpoint.values()),
        "dtypes": _dtypes(checkpoint.values()),
        "files": [{"name": path.name, "size_bytes": path.stat().st_size} for path in checkpoint.files],
        "other_files": sorted(set(names) - {path.name for path in checkpoint.files}),
        "features": [describe_features(feature) for feature in source.configs.architecture.feature_specs()],
        "config": source.configs.architecture.to_hub(),
    }


def _memory(records: Iterable[TensorRecord]) -> Description:
    """What loading takes with dtype="auto": what is mapped from the files, and what is decoded into memory."""
    mapped = decoded = 0
    for record in records:
        if isinstance(record.data, EncodedBytes):
            decoded += record.nbytes
        else:
            mapped += record.nbytes
    return {"mapped_bytes": mapped, "decoded_bytes": decoded}


def _dtypes(records: Iterable[TensorRecord]) -> Json:
    """For each dtype or encoding: how many tensors and elements, in how many bytes; the largest first."""
    totals: dict[str, list[int]] = {}
    for record in records:
        encoded = isinstance(record.data, EncodedBytes)
        name = record.data.encoding if isinstance(record.data, EncodedBytes) else record.dtype.name
        total = totals.setdefault(name, [0, 0, 0, int(encoded)])
        total[0] += 1
        total[1] += record.elements
        total[2] += record.data.nbytes
    return [
        {"dtype": name, "tensors": tensors, "elements": elements, "bytes": nbytes, "encoded": bool(encoded)}
        for name, (tensors, elements, nbytes, encoded) in sorted(totals.items(), key=lambda item: -item[1][2])
    ]


def _context_length(config: Config) -> int | None:
    """Under the name that the Hub's text models have for it."""
    length = getattr(config, "max_position_embeddings", None)
    return length if isinstance(length, int) else None


def _has_chat_template(source: Source) -> bool:
    if "chat_template.jinja" in source.files.names():
        return True
    settings = read_json(source.files, "tokenizer_config.json") or {}
    return bool(settings.get("chat_template"))
