"""Distances from maps of several resolutions. Shapes: b batch, d channels, h rows and w columns of a map."""

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
from zoo_depth.config import DepthPyramidConfig

__all__ = ["DepthOutput", "DepthPyramid"]


@register_pytree()
@dataclass
class DepthOutput:
    """depth: (b, 1, h, w) of the finest map, in metres. loss and its terms when a target was given."""

    depth: Tensor
    loss: Tensor | None = None
    losses: dict[str, Tensor] = field(default_factory=dict)


class DepthPyramid(Head):
    """One distance for each position of the finest map."""

    config: DepthPyramidConfig

    def __init__(self, features: tuple[FeatureSpec, ...], config: DepthPyramidConfig) -> None:
        super().__init__(features, config)
        self.laterals = nn.ModuleList(nn.Conv2d(spec.channels, config.channels, 1) for spec in features)
        self.smooth = nn.Conv2d(config.channels, config.channels, 3, padding=1)
        self.distance = nn.Conv2d(config.channels, 1, 1)

    def forward(self, features: Features, **options: Any) -> DepthOutput:
        x_bdhw: Tensor | None = None
        for lateral, map_bdhw in reversed(list(zip(self.laterals, features.maps, strict=True))):
            level = lateral(map_bdhw)
            if x_bdhw is not None:
                level = level + F.interpolate(x_bdhw, level.shape[-2:], mode="bilinear", align_corners=False)
            x_bdhw = level
        assert x_bdhw is not None
        depth = self.distance(F.gelu(self.smooth(x_bdhw))).sigmoid() * self.config.max_depth
        return DepthOutput(depth)

    def init_weights(self, generator: torch.Generator) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=generator)
                assert module.bias is not None
                nn.init.zeros_(module.bias)

    def count(self, target: Tensor) -> dict[str, Tensor]:
        """target: (b, height, width) in metres; not above 0 where nothing is known."""
        return {"pixel": (target > 0).sum()}

    def loss(
        self, output: DepthOutput, target: Tensor, denominators: Mapping[str, Tensor] | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The mean absolute difference over the pixels whose distance is known."""
        total = (denominators or self.count(target))["pixel"].clamp(min=1)
        depth = F.interpolate(output.depth.float(), target.shape[-2:], mode="bilinear", align_corners=False)[:, 0]
        loss = torch.where(target > 0, (depth - target).abs(), 0).sum() / total
        return loss, {"pixel": loss}
