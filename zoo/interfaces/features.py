"""What a backbone returns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from zoo.interfaces.cache import Cache
from zoo.interfaces.pytree import register_pytree

__all__ = ["Features"]


@register_pytree(static=("cache", "grid"))
@dataclass
class Features:
    """The output of a Model.

    maps: (batch, channels, height, width) each, from fine to coarse. tokens: (batch, length, channels).
    vector: (batch, channels). mask: (batch, length), True where a token is real; None when all are.
    grid: rows and columns of the tokens that stand for places in an image, those after the prefix tokens, row by row.
    cache: the cache that was passed in, now longer. extras: anything else by name (router logits, hidden states).
    """

    maps: tuple[Tensor, ...] = ()
    tokens: Tensor | None = None
    vector: Tensor | None = None
    mask: Tensor | None = None
    grid: tuple[int, int] | None = None
    cache: Cache | None = None
    extras: dict[str, Any] = field(default_factory=dict)
