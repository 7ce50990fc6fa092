"""Heads without a backbone, with random weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.dropout import _DropoutNd

from zoo.interfaces.feature_spec import FeatureSpec
from zoo.interfaces.head import Head
from zoo.weights.derived import reset_derived
from zoo.weights.meta import without_memory

__all__ = ["make_head", "settled"]


def make_head(head_class: Any, features: Sequence[FeatureSpec], config: Any, seed: int) -> Head:
    """As `zoo.create` makes it. What init_weights leaves out is no number; what a backbone would share is random."""
    with without_memory():
        head: Head = head_class(tuple(features), config)
    head.to_empty(device="cpu")
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for tensor in (*head.parameters(), *head.buffers()):
            if tensor.is_floating_point():
                tensor.fill_(torch.nan)
        for name in head.shared():
            head.get_parameter(name).normal_(generator=generator)
    for module in head.modules():
        if isinstance(module, _NormBase):
            module.reset_running_stats()
    head.init_weights(generator)
    reset_derived(head, torch.device("cpu"))
    return head.eval()


def settled(head: Head) -> Head:
    """With its dropout and batch norms in evaluation mode, so that rows don't depend on each other or on chance."""
    for module in head.modules():
        if isinstance(module, _NormBase | _DropoutNd) or type(module).__name__ == "DropPath":
            nn.Module.train(module, False)
    return head
