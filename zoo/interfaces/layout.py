"""What layouts are asked and what they answer. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from zoo.checkpoint.records import TensorRecord
from zoo.interfaces.config import Config

__all__ = ["LayoutConfigs", "ModelMetadata"]


@dataclass(frozen=True, kw_only=True)
class ModelMetadata:
    """What is known of a checkpoint from headers alone.

    format: the name of its FormatSpec ("safetensors", "gguf", ...). config: the contents of config.json, empty where
    there is none.
    metadata: the format's own metadata. tensors: name -> record. location: for messages.
    """

    format: str
    location: str
    config: Mapping[str, Any]
    metadata: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    tensors: Mapping[str, TensorRecord] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, kw_only=True)
class LayoutConfigs:
    """The configurations that a layout reads out of a checkpoint's metadata, or that are to be written."""

    architecture: Config
    head: Any = None
    neck: Any = None
