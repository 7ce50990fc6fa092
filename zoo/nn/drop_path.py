"""Stochastic depth."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["DropPath"]


class DropPath(nn.Module):
    """Leaves out a residual branch for a part of a batch's samples while training (Huang et al., 2016).

    What is kept is divided by how likely that was, so that the mean stays. rate: how likely a branch is left out.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """x: (batch, ...), the output of the branch."""
        if not self.training or self.rate == 0:
            return x
        keep = 1 - self.rate
        # Drawn in float32: in half precision a small rate would be rounded away.
        kept = torch.rand(x.shape[0], *(1,) * (x.ndim - 1), dtype=torch.float32, device=x.device) < keep
        return x * (kept.to(x.dtype) / keep)

    def extra_repr(self) -> str:
        """What torch prints of the module."""
        return f"rate={self.rate}"
