"""ConvNeXt (Liu et al., 2022, arXiv:2201.03545). Shapes: b batch, d channels, h rows and w columns of a map."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from zoo.errors import InvalidInput
from zoo.interfaces.features import Features
from zoo.interfaces.model import Model
from zoo.nn.drop_path import DropPath
from zoo_convnext.config import ConvNextConfig

__all__ = ["ConvNext"]

EPS = 1e-6
"""Of all norms but the last."""


class MapNorm(nn.LayerNorm):
    """Layer normalisation over the channels of each position of a map, (b, d, h, w)."""

    def forward(self, x_bdhw: Tensor) -> Tensor:
        return super().forward(x_bdhw.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Block(nn.Module):
    """A 7 x 7 depthwise convolution and a feed-forward network (figure 4, right)."""

    def __init__(self, config: ConvNextConfig, d: int, drop_path: float) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(d, d, 7, padding=3, groups=d)
        self.norm = nn.LayerNorm(d, eps=EPS)
        self.expand = nn.Linear(d, 4 * d)
        self.project = nn.Linear(4 * d, d)
        self.scale = nn.Parameter(torch.empty(d)) if config.layer_scale_init_value else None
        self.drop_path = DropPath(drop_path)

    def forward(self, x_bdhw: Tensor) -> Tensor:
        x_bhwd = self.norm(self.depthwise(x_bdhw).permute(0, 2, 3, 1))
        x_bhwd = self.project(F.gelu(self.expand(x_bhwd)))
        if self.scale is not None:
            x_bhwd = x_bhwd * self.scale
        branch: Tensor = self.drop_path(x_bhwd.permute(0, 3, 1, 2))
        return x_bdhw + branch


class Stage(nn.Module):
    """Half the resolution of the stage before, and blocks; the first keeps the resolution of the patches."""

    def __init__(self, config: ConvNextConfig, stage: int, rates: list[float]) -> None:
        super().__init__()
        before, d = config.hidden_sizes[max(stage - 1, 0)], config.hidden_sizes[stage]
        self.downsample = (
            nn.Sequential(MapNorm(before, eps=EPS), nn.Conv2d(before, d, 2, stride=2)) if stage else nn.Sequential()
        )
        self.blocks = nn.ModuleList(Block(config, d, rate) for rate in rates)


class ConvNext(Model):
    """Images of any size to a map per stage and a vector."""

    config: ConvNextConfig
    gradient_checkpointing = False

    def __init__(self, config: ConvNextConfig) -> None:
        super().__init__(config)
        self.patches = nn.Conv2d(config.num_channels, config.hidden_sizes[0], config.patch_size, config.patch_size)
        self.patch_norm = MapNorm(config.hidden_sizes[0], eps=EPS)
        last = max(sum(config.depths) - 1, 1)
        rates = iter([config.drop_path_rate * index / last for index in range(sum(config.depths))])
        self.stages = nn.ModuleList(
            Stage(config, stage, [next(rates) for _ in range(depth)]) for stage, depth in enumerate(config.depths)
        )
        self.norm = None if config.dense else nn.LayerNorm(config.hidden_sizes[-1], eps=config.layer_norm_eps)

    def forward(self, pixel_values: Tensor) -> Features:
        """pixel_values: (b, num_channels, height, width), at least a position of the last map in size.

        maps: (b, d, h, w) of each stage; what does not fill a position is cut off. vector: (b, d), the mean of the last
        map, normalised.
        """
        smallest = self.config.patch_size * 2 ** (len(self.config.depths) - 1)
        if pixel_values.ndim != 4 or min(pixel_values.shape[2:]) < smallest:
            raise InvalidInput(
                f"pixel_values: expected (batch, {self.config.num_channels}, height, width) of at least {smallest} x "
                f"{smallest}, found {tuple(pixel_values.shape)}."
            )
        x_bdhw = self.patch_norm(self.patches(pixel_values))
        maps = []
        for stage in self.stages:
            assert isinstance(stage, Stage)
            x_bdhw = stage.downsample(x_bdhw)
            for block in stage.blocks:
                if self.gradient_checkpointing and self.training and torch.is_grad_enabled():
                    x_bdhw = checkpoint(block, x_bdhw, use_reentrant=False)
                else:
                    x_bdhw = block(x_bdhw)
            maps.append(x_bdhw)
        return Features(maps=tuple(maps), vector=None if self.norm is None else self.norm(x_bdhw.mean(dim=(-2, -1))))

    def init_weights(self, generator: torch.Generator) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.trunc_normal_(module.weight, std=self.config.initializer_range, generator=generator)
                assert module.bias is not None
                nn.init.zeros_(module.bias)
            elif isinstance(module, nn.LayerNorm):
                nn.init.ones_(module.weight)
                nn.init.zeros_(module.bias)
            elif isinstance(module, Block) and module.scale is not None:
                nn.init.constant_(module.scale, self.config.layer_scale_init_value)
