"""What a key-map rule does to tensors besides renaming them. Each operation is undone by its `save`, exactly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

__all__ = ["RENAME", "Operation", "PermuteRotary", "Rename", "Split"]


class Operation(Protocol):
    """Turns the stored tensors of a rule into the model's, and back.

    Must work on meta tensors, which tell the shapes.
    """

    def load(self, stored: Sequence[Tensor]) -> list[Tensor]:
        """The model's tensors, in the order of the rule's model templates; views where possible."""
        ...

    def save(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """The stored tensors, in the order of the rule's stored templates."""
        ...


@dataclass(frozen=True)
class Rename:
    """Nothing: the tensor is stored as it is."""

    def load(self, stored: Sequence[Tensor]) -> list[Tensor]:
        return list(stored)

    def save(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        return list(tensors)


RENAME = Rename()
"""The operation of a rule that says nothing else."""


@dataclass(frozen=True)
class PermuteRotary:
    """Rows of a projection whose heads hold rotated pairs side by side, (0, 1), (2, 3), ... on disk, as llama.cpp and
    the original Llama have them, and in halves, (i, i + head_dim / 2), in the model. heads: of this projection.
    """

    heads: int

    def load(self, stored: Sequence[Tensor]) -> list[Tensor]:
        return [self._regroup(tensor, (-1, 2)) for tensor in stored]

    def save(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        return [self._regroup(tensor, (2, -1)) for tensor in tensors]

    def _regroup(self, tensor: Tensor, pair: tuple[int, int]) -> Tensor:
        return tensor.reshape(self.heads, *pair, *tensor.shape[1:]).transpose(1, 2).reshape(tensor.shape)


@dataclass(frozen=True)
class Split:
    """One stored tensor that is several parameters of one shape, one after the other along the first dimension, as
    fused projections of queries, keys and values are. The parameters are views of it.
    """

    parts: int

    def load(self, stored: Sequence[Tensor]) -> list[Tensor]:
        (tensor,) = stored
        return list(tensor.reshape(self.parts, -1, *tensor.shape[1:]).unbind(0))

    def save(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        return [torch.cat(list(tensors))]
