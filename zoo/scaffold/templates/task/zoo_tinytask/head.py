"""The head of the task, and what it gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.interfaces.feature_spec import FeatureSpec
from zoo.interfaces.features import Features
from zoo.interfaces.head import Head
from zoo.interfaces.pytree import register_pytree
from zoo_tinytask.config import TinytaskConfig

__all__ = ["TinytaskOutput", "TinytaskRegressor"]


@register_pytree()
@dataclass
class TinytaskOutput:
    """score: (batch,). loss and its terms when a target was given."""

    score: Tensor
    loss: Tensor | None = None
    losses: dict[str, Tensor] = field(default_factory=dict)


class TinytaskRegressor(Head):
    """One number for an image."""

    config: TinytaskConfig

    def __init__(self, features: tuple[FeatureSpec, ...], config: TinytaskConfig) -> None:
        super().__init__(features, config)
        self.source = features[-1]
        self.weight = nn.Parameter(torch.empty(1, self.source.channels))
        self.bias = nn.Parameter(torch.empty(1))

    def forward(self, features: Features, **options: Any) -> TinytaskOutput:
        vector = features.vector if self.source.kind == "vector" else features.maps[-1].mean(dim=(-2, -1))
        assert vector is not None
        return TinytaskOutput(F.linear(vector, self.weight, self.bias).squeeze(-1))

    def init_weights(self, generator: torch.Generator) -> None:
        nn.init.normal_(self.weight, std=self.config.initializer_range, generator=generator)
        nn.init.zeros_(self.bias)

    def count(self, target: Tensor) -> dict[str, Tensor]:
        """target: (batch,) numbers."""
        return {"image": torch.tensor(target.shape[0], device=target.device)}

    def loss(
        self, output: TinytaskOutput, target: Tensor, denominators: Mapping[str, Tensor] | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The mean squared error: a sum over this batch, divided by the count of all that are accumulated."""
        total = (denominators or self.count(target))["image"]
        loss = F.mse_loss(output.score.float(), target.float(), reduction="sum") / total
        return loss, {"image": loss}
