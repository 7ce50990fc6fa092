"""The semantic branch of Panoptic Feature Pyramid Networks (Kirillov et al., 2019, arXiv:1901.02446).

Shapes: b batch, c channels of the pyramid, h rows and w columns of a map.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.interfaces.feature_spec import FeatureSpec
from zoo.interfaces.features import Features
from zoo_segmentation.blocks import classifier, resize
from zoo_segmentation.config import FPNConfig
from zoo_segmentation.head import SegmentationHead
from zoo_segmentation.output import SegmentationOutput

__all__ = ["FPN", "Branch", "Step"]


class Step(nn.Module):
    """A convolution, group normalisation, ReLU."""

    def __init__(self, in_channels: int, config: FPNConfig) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, config.branch_channels, 3, padding=1, bias=False)
        self.norm = nn.GroupNorm(config.groups, config.branch_channels)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.norm(self.conv(x)))


class Branch(nn.Module):
    """One level of the pyramid brought to the resolution of the finest, step by step, each about doubling the size.

    level: how many levels are finer.
    """

    def __init__(self, level: int, config: FPNConfig) -> None:
        super().__init__()
        self.steps = nn.ModuleList(
            Step(config.branch_channels if index else config.channels, config) for index in range(max(level, 1))
        )

    def forward(self, x_bchw: Tensor, sizes: list[torch.Size]) -> Tensor:
        """sizes: height and width of the finer levels, from coarse to fine; the finest one has none."""
        if not sizes:
            return self.steps[0](x_bchw)
        for step, size in zip(self.steps, sizes, strict=True):
            x_bchw = resize(step(x_bchw), size)
        return x_bchw


class FPN(SegmentationHead):
    """A feature pyramid (Lin et al., 2017, arXiv:1612.03144), whose levels are added up at the finest's resolution."""

    config: FPNConfig

    def __init__(self, features: tuple[FeatureSpec, ...], config: FPNConfig) -> None:
        super().__init__(features, config)
        channels = config.channels
        self.laterals = nn.ModuleList(nn.Conv2d(spec.channels, channels, 1) for spec in features)
        self.smoothings = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1) for _ in features)
        self.branches = nn.ModuleList(Branch(level, config) for level in range(len(features)))
        self.classifier = classifier(config.branch_channels, len(config.labels))

    def forward(self, features: Features, **options: Any) -> SegmentationOutput:
        levels = self.pyramid(self.maps(features))
        sizes = [level.shape[-2:] for level in levels]
        joined = self.branches[0](levels[0], [])
        for index, branch in enumerate(self.branches[1:], start=1):
            joined = joined + branch(levels[index], sizes[:index][::-1])
        return SegmentationOutput(self.classifier(joined))

    def pyramid(self, maps: tuple[Tensor, ...]) -> list[Tensor]:
        """Each level with what the coarser ones know: (b, c, h, w) each, from fine to coarse."""
        above: Tensor | None = None
        levels = []
        for map_bchw, lateral, smoothing in reversed(list(zip(maps, self.laterals, self.smoothings, strict=True))):
            here = lateral(map_bchw)
            above = here if above is None else here + F.interpolate(above, here.shape[-2:], mode="nearest")
            levels.append(smoothing(above))
        return levels[::-1]

    def init_weights(self, generator: torch.Generator) -> None:
        super().init_weights(generator)
        for conv in (*self.laterals, *self.smoothings):  # linear, with no ReLU after them
            nn.init.kaiming_uniform_(conv.weight, a=1, generator=generator)
            nn.init.zeros_(conv.bias)
