"""Top-k accuracy of a classifier, accumulated over any number of batches in constant memory."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from zoo.errors import InvalidInput

__all__ = ["TopKAccuracy"]


class TopKAccuracy:
    """How often the true label is among the k likeliest, for each of several k.

    A score that is tied with the true one's counts as above it, so that a model that can't tell labels apart, or that
    gives NaN, is not right by luck.
    """

    def __init__(self, ks: Sequence[int] = (1, 5)) -> None:
        if not ks or any(type(k) is not int or k < 1 for k in ks):
            raise InvalidInput(f"ks: whole numbers above 0 were expected, found {ks!r}.")
        self.ks = tuple(ks)
        self.total = 0
        self._right = [0] * len(self.ks)

    def update(self, logits: Tensor, target: Tensor) -> None:
        """logits: (batch, labels). target: (batch,) indices of labels."""
        if logits.ndim != 2 or target.shape != logits.shape[:1]:
            raise InvalidInput(
                "logits of (batch, labels) and a target of (batch,) were expected, "
                f"found {tuple(logits.shape)} and {tuple(target.shape)}."
            )
        if not target.numel():
            return
        is_whole = not target.is_floating_point() and target.dtype != torch.bool
        if not is_whole or not 0 <= int(target.min()) <= int(target.max()) < logits.shape[1]:
            raise InvalidInput(
                f"target: indices of {logits.shape[1]} labels were expected, found {target.dtype} "
                f"from {target.min().item()} to {target.max().item()}."
            )
        true = logits.gather(1, target.long()[:, None])
        above = (~(logits < true)).sum(dim=1)  # the true one among them; all, where it is NaN
        self._right = [right + int((above <= k).sum()) for right, k in zip(self._right, self.ks, strict=True)]
        self.total += target.shape[0]

    def merge(self, other: TopKAccuracy) -> None:
        """Add what another one, of the same ks, has seen; for results of several processes."""
        if other.ks != self.ks:
            raise InvalidInput(f"Accuracies of one set of ks were expected, found {self.ks} and {other.ks}.")
        self._right = [ours + theirs for ours, theirs in zip(self._right, other._right, strict=True)]
        self.total += other.total

    def compute(self) -> dict[str, float]:
        """{"top1": 0.8, "top5": 0.95}. Raises InvalidInput when nothing was seen."""
        if not self.total:
            raise InvalidInput("There is no accuracy yet: `update` was not called with any image.")
        return {f"top{k}": right / self.total for k, right in zip(self.ks, self._right, strict=True)}
