"""What a decoder keeps between steps: the specification (torch-free) and the protocols that `forward` sees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Cache", "CacheSpec", "LayerCache", "LayerCacheSpec"]


@dataclass(frozen=True, kw_only=True)
class LayerCacheSpec:
    """What one layer keeps. kind "self": keys and values of all positions, (batch, heads, length, head_dim) each."""

    kind: Literal["self", "cross", "window", "recurrent"]
    num_heads: int
    head_dim: int
    window: int | None = None


@dataclass(frozen=True, kw_only=True)
class CacheSpec:
    """What each layer of a model keeps, in order."""

    layers: tuple[LayerCacheSpec, ...]


class LayerCache(Protocol):
    """One layer's part of a cache."""

    def append(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Store keys and values (batch, heads, new, head_dim) after the cache's length; return those of all
        positions.
        """
        ...


class Cache(Protocol):
    """A cache as a model's forward sees it. The length moves once per forward, when the model calls `advance`."""

    @property
    def length(self) -> int:
        """How many positions are stored, padding among them."""
        ...

    @property
    def layers(self) -> list[LayerCache]:
        """The parts, one per entry of the CacheSpec."""
        ...

    def advance(self, count: int) -> None:
        """Count the positions that every layer has appended."""
        ...
