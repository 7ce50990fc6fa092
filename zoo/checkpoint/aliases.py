"""Other names of tensors that a safetensors file stores once, as the Hub's client writes them: its `__metadata__` (of a
single file) or the index's `metadata` (of shards) has `dropped name: kept name` among its entries.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from zoo.checkpoint.records import Checkpoint, TensorRecord
from zoo.checkpoint.rules import name_problem

__all__ = ["DERIVED_KEYS", "RESERVED_KEYS", "aliases_of", "with_aliases"]

DERIVED_KEYS = frozenset(("total_size", "total_parameters"))
"""What an index says of its tensors under these keys is counted anew whenever they are written."""

RESERVED_KEYS = DERIVED_KEYS | {"format"}
"""What index and `__metadata__` have under these keys is never another name of a tensor."""


def aliases_of(metadata: Mapping[str, Any], names: Collection[str]) -> dict[str, str]:
    """Dropped name -> kept name, of those entries whose value is the name of a tensor and whose key is not."""
    return {
        key: value
        for key, value in metadata.items()
        if isinstance(value, str)
        and value in names
        and key not in names
        and key not in RESERVED_KEYS
        and name_problem(key) is None
    }


def with_aliases(checkpoint: Checkpoint) -> dict[str, TensorRecord]:
    """All tensors by all their names: an alias has a record of its own, with the data of the tensor that it means."""
    aliased = {name: replace(checkpoint[kept], name=name) for name, kept in checkpoint.aliases.items()}
    return {**checkpoint, **aliased}
