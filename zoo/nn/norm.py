"""Normalisation layers."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["RMSNorm"]


class RMSNorm(nn.Module):
    """Root mean square layer normalisation (Zhang & Sennrich, 2019): x / rms(x) * weight over the last dimension."""

    def __init__(self, channels: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """x: (..., channels). The statistics are taken in float32, whatever the dtype of x."""
        if x.dtype == torch.float32:
            return F.rms_norm(x, self.weight.shape, self.weight, self.eps)
        normalised = F.rms_norm(x.float(), self.weight.shape, None, self.eps)
        return normalised.to(x.dtype) * self.weight
