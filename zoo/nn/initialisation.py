"""The random weights that vision transformers begin with."""

from __future__ import annotations

import torch
from torch import nn

__all__ = ["init_linear_and_norms"]


def init_linear_and_norms(model: nn.Module, std: float, generator: torch.Generator) -> None:
    """Weights of linear maps and convolutions from a truncated normal distribution, biases zero, norms one (ViT, Swin:
    timm's and the authors' code). In the order of `model.modules()`, drawing only from the generator.
    """
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            nn.init.trunc_normal_(module.weight, std=std, generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.LayerNorm):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
