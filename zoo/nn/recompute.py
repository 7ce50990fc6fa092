"""Gradient checkpointing (Chen et al., 2016, arXiv:1604.06174)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

__all__ = ["run_layer"]


def run_layer(layer: nn.Module, x: Tensor, *, recompute: bool) -> Tensor:
    """layer(x). recompute: in training, compute its inside again in the backward pass rather than keep it."""
    if recompute and layer.training and torch.is_grad_enabled():
        output: Tensor = checkpoint(layer, x, use_reentrant=False)
    else:
        output = layer(x)
    return output
