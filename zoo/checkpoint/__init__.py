"""Checkpoints without torch: open any of them by its headers, read its bytes, write safetensors.

Names are resolved when they are first used: who reads a header does not pay for the writer.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zoo.checkpoint.aliases import with_aliases as with_aliases
    from zoo.checkpoint.dtypes import DType as DType
    from zoo.checkpoint.files import EMPTY_FILES as EMPTY_FILES
    from zoo.checkpoint.files import DirectoryFiles as DirectoryFiles
    from zoo.checkpoint.files import MemoryFiles as MemoryFiles
    from zoo.checkpoint.files import ModelFiles as ModelFiles
    from zoo.checkpoint.files import read_json as read_json
    from zoo.checkpoint.open import open_checkpoint as open_checkpoint
    from zoo.checkpoint.plan import ShardPlan as ShardPlan
    from zoo.checkpoint.plan import TensorPlan as TensorPlan
    from zoo.checkpoint.plan import plan_shards as plan_shards
    from zoo.checkpoint.reading import read_bytes as read_bytes
    from zoo.checkpoint.records import Checkpoint as Checkpoint
    from zoo.checkpoint.records import CodeReport as CodeReport
    from zoo.checkpoint.records import EncodedBytes as EncodedBytes
    from zoo.checkpoint.records import GlobalUse as GlobalUse
    from zoo.checkpoint.records import Selection as Selection
    from zoo.checkpoint.records import StoredBytes as StoredBytes
    from zoo.checkpoint.records import StridedBytes as StridedBytes
    from zoo.checkpoint.records import TensorRecord as TensorRecord
    from zoo.checkpoint.select import select_tensors as select_tensors
    from zoo.checkpoint.sizes import format_size as format_size
    from zoo.checkpoint.sizes import parse_size as parse_size
    from zoo.checkpoint.transaction import DirectoryTransaction as DirectoryTransaction
    from zoo.checkpoint.writer import TensorSource as TensorSource

_HOME = {
    "Checkpoint": "records",
    "CodeReport": "records",
    "DType": "dtypes",
    "DirectoryFiles": "files",
    "DirectoryTransaction": "transaction",
    "EMPTY_FILES": "files",
    "EncodedBytes": "records",
    "GlobalUse": "records",
    "MemoryFiles": "files",
    "ModelFiles": "files",
    "ShardPlan": "plan",
    "Selection": "records",
    "StoredBytes": "records",
    "StridedBytes": "records",
    "TensorPlan": "plan",
    "TensorRecord": "records",
    "TensorSource": "writer",
    "format_size": "sizes",
    "open_checkpoint": "open",
    "parse_size": "sizes",
    "plan_shards": "plan",
    "read_bytes": "reading",
    "read_json": "files",
    "select_tensors": "select",
    "with_aliases": "aliases",
}

__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'zoo.checkpoint' has no attribute {name!r}")
    value = getattr(import_module(f"zoo.checkpoint.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
