"""The key-value cache: buffers that are allocated once, grown in blocks, and written in place."""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.errors import UnsupportedFeature
from zoo.interfaces.cache import CacheSpec, LayerCache

__all__ = ["KVCache", "LayerKVCache"]

BLOCK = 256
"""Capacities are multiples of this many positions."""


class LayerKVCache:
    """Keys and values of one layer, (batch, heads, capacity, head_dim) each, of which the first positions are in use.

    The buffers are made when the first keys arrive, on their device and in their dtype.
    """

    def __init__(self, capacity: int) -> None:
        self.length = 0
        self._capacity = capacity
        self._keys: Tensor | None = None
        self._values: Tensor | None = None

    def append(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Store keys and values, (batch, heads, new, head_dim) each; return views of all, the new ones at the end."""
        start, new = self.length, keys.shape[2]
        end = start + new
        if self._keys is None or self._values is None or end > self._capacity:
            self._keys, self._values = self._grown(self._keys, keys, end), self._grown(self._values, values, end)
            self._capacity = self._keys.shape[2]
        self._keys.narrow(2, start, new).copy_(keys)
        self._values.narrow(2, start, new).copy_(values)
        return self._keys.narrow(2, 0, end), self._values.narrow(2, 0, end)

    def reorder(self, rows: Tensor) -> None:
        """Make row i what row rows[i] was; rows may repeat or be left out."""
        if self._keys is not None and self._values is not None:
            self._keys, self._values = self._selected(self._keys, rows), self._selected(self._values, rows)

    @property
    def nbytes(self) -> int:
        """The memory of the buffers."""
        return sum(buffer.nbytes for buffer in (self._keys, self._values) if buffer is not None)

    def _grown(self, buffer: Tensor | None, like: Tensor, needed: int) -> Tensor:
        capacity = self._capacity if needed <= self._capacity else max(needed, self._capacity + self._capacity // 2)
        batch, heads, _, head_dim = like.shape
        grown = like.new_empty(batch, heads, -(-capacity // BLOCK) * BLOCK, head_dim)
        if buffer is not None:
            grown.narrow(2, 0, self.length).copy_(buffer.narrow(2, 0, self.length))
        return grown

    def _selected(self, buffer: Tensor, rows: Tensor) -> Tensor:
        selected = buffer.new_empty(len(rows), *buffer.shape[1:])
        torch.index_select(buffer.narrow(2, 0, self.length), 0, rows, out=selected.narrow(2, 0, self.length))
        return selected


class KVCache:
    """A decoder's cache, as `interfaces.Cache` wants it; its owner also reorders and crops it.

    capacity: how many positions to make room for at once; more is made, half as much again, when it does not suffice.
    layers: the parts, one per entry of the CacheSpec.
    """

    def __init__(self, spec: CacheSpec, capacity: int = BLOCK) -> None:
        for index, layer in enumerate(spec.layers):
            if layer.kind != "self":
                raise UnsupportedFeature(
                    f"Layer {index} keeps a '{layer.kind}' cache; the decoder allocates 'self' caches only."
                )
        self._parts = [LayerKVCache(capacity) for _ in spec.layers]
        self._length = 0
        self.layers: list[LayerCache] = list(self._parts)

    @property
    def length(self) -> int:
        """How many positions are stored, padding among them."""
        return self._length

    @property
    def nbytes(self) -> int:
        """The memory of all buffers."""
        return sum(part.nbytes for part in self._parts)

    def advance(self, count: int) -> None:
        """Count the positions that every layer has appended."""
        self._move(self._length + count)

    def crop(self, length: int) -> None:
        """Forget the positions from `length` on, e.g. those of tokens that were proposed and not accepted."""
        if not 0 <= length <= self._length:
            raise ValueError(f"can't crop a cache of {self._length} positions to {length}")
        self._move(length)

    def reorder(self, rows: Tensor) -> None:
        """Make row i of the batch what row rows[i] was; rows, an index tensor, may repeat or be left out."""
        for part in self._parts:
            part.reorder(rows)

    def _move(self, length: int) -> None:
        self._length = length
        for part in self._parts:
            part.length = length
