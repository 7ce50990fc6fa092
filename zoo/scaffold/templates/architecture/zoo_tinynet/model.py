"""Tinynet. Shapes: b batch, d channels, h rows and w columns of a map."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.errors import InvalidInput
from zoo.interfaces.features import Features
from zoo.interfaces.model import Model
from zoo_tinynet.config import PATCH, TinynetConfig

__all__ = ["Tinynet"]


class Block(nn.Module):
    """A depthwise convolution looks around, two pointwise ones mix channels; the result is added to the input."""

    def __init__(self, channels: int, eps: float) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.norm = nn.GroupNorm(1, channels, eps=eps)
        self.expand = nn.Conv2d(channels, 2 * channels, 1)
        self.project = nn.Conv2d(2 * channels, channels, 1)

    def forward(self, x_bdhw: Tensor) -> Tensor:
        branch: Tensor = self.project(F.gelu(self.expand(self.norm(self.depthwise(x_bdhw)))))
        return x_bdhw + branch


class Stage(nn.Module):
    """A convolution that lowers the resolution, then blocks."""

    def __init__(self, before: int, channels: int, depth: int, stride: int, eps: float) -> None:
        super().__init__()
        self.downsample = nn.Conv2d(before, channels, stride, stride=stride)
        self.blocks = nn.ModuleList(Block(channels, eps) for _ in range(depth))

    def forward(self, x_bdhw: Tensor) -> Tensor:
        x_bdhw = self.downsample(x_bdhw)
        for block in self.blocks:
            x_bdhw = block(x_bdhw)
        return x_bdhw


class Tinynet(Model):
    """Images to four maps and a vector."""

    config: TinynetConfig

    def __init__(self, config: TinynetConfig) -> None:
        super().__init__(config)
        before = (config.num_channels, *config.channels[:-1])
        strides = (PATCH, 2, 2, 2)
        self.stages = nn.ModuleList(
            Stage(*shape, config.norm_eps)
            for shape in zip(before, config.channels, config.depths, strides, strict=True)
        )
        self.norm = nn.LayerNorm(config.channels[-1], eps=config.norm_eps)

    def forward(self, pixel_values: Tensor) -> Features:
        """pixel_values: (b, num_channels, height, width), normalised; height and width are multiples of 32.

        maps: (b, d, h, w) of each stage. vector: (b, d), the mean of the last map, normalised.
        """
        smallest = PATCH * 8
        if pixel_values.ndim != 4 or any(side < smallest or side % smallest for side in pixel_values.shape[2:]):
            raise InvalidInput(
                f"pixel_values: expected (batch, {self.config.num_channels}, height, width), height and width being "
                f"multiples of {smallest}; found {tuple(pixel_values.shape)}."
            )
        maps = []
        x_bdhw = pixel_values
        for stage in self.stages:
            x_bdhw = stage(x_bdhw)
            maps.append(x_bdhw)
        return Features(maps=tuple(maps), vector=self.norm(x_bdhw.mean(dim=(-2, -1))))

    def init_weights(self, generator: torch.Generator) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.trunc_normal_(module.weight, std=self.config.initializer_range, generator=generator)
                assert module.bias is not None
                nn.init.zeros_(module.bias)
            elif isinstance(module, nn.GroupNorm | nn.LayerNorm):
                nn.init.ones_(module.weight)
                nn.init.zeros_(module.bias)
