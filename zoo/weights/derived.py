"""Buffers that are computed from the configuration rather than stored."""

from __future__ import annotations

import torch
from torch import nn

__all__ = ["reset_derived"]


def reset_derived(model: nn.Module, device: torch.device) -> None:
    """Call `reset_derived(device)` of every module that has it."""
    for module in model.modules():
        reset = getattr(module, "reset_derived", None)
        if reset is not None:
            reset(device)
