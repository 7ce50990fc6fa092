"""The simple feature pyramid (ViTDet; Li et al., 2022, arXiv:2203.16527, section 3): maps of several strides from the
last tokens of a plain backbone.

Shapes: b batch, l tokens, h rows and w columns, d channels of the tokens, c of the maps.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.errors import InvalidInput
from zoo.interfaces.feature_spec import FeatureSpec
from zoo.interfaces.features import Features
from zoo.interfaces.neck import Neck
from zoo_vit.simple_fpn_config import SimpleFPNConfig

__all__ = ["SimpleFPN"]


class MapNorm(nn.LayerNorm):
    """Layer normalisation over the channels of a map."""

    def forward(self, x_bdhw: Tensor) -> Tensor:
        return super().forward(x_bdhw.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Level(nn.Sequential):
    """One map of the pyramid: resampled by a power of two, then mapped to c channels.

    steps: how often the resolution doubles, each time with half the channels; below 0, how often it halves.
    """

    def __init__(self, d: int, steps: int, config: SimpleFPNConfig) -> None:
        layers: list[nn.Module] = []
        for step in range(steps):
            if step:
                layers += [MapNorm(d, eps=config.layer_norm_eps), nn.GELU()]
            layers.append(nn.ConvTranspose2d(d, d // 2, 2, stride=2))
            d = d // 2
        if steps < 0:
            layers.append(nn.MaxPool2d(2**-steps, ceil_mode=True))
        c = config.channels
        layers += [nn.Conv2d(d, c, 1, bias=False), MapNorm(c, eps=config.layer_norm_eps)]
        layers += [nn.Conv2d(c, c, 3, padding=1, bias=False), MapNorm(c, eps=config.layer_norm_eps)]
        super().__init__(*layers)


class SimpleFPN(Neck):
    """Tokens of one stride to maps of several: transposed convolutions make the finer ones, max pooling the coarser.

    A grid of tokens whose stride is no power of two (14, as DINOv2's) is first interpolated to the nearest one's (16).
    A map has then as many rows and columns as that grid, times or divided by a power of two, the latter rounded up:
    what an image has beside whole patches is in none of them.
    """

    config: SimpleFPNConfig

    def __init__(self, features: tuple[FeatureSpec, ...], config: SimpleFPNConfig) -> None:
        super().__init__(features, config)
        source = features[-1]
        assert source.stride is not None
        self.prefix_tokens, self.stride = source.prefix_tokens, source.stride
        self.base = config.base_stride(source)
        self.levels = nn.ModuleList(
            Level(source.channels, round(math.log2(self.base / stride)), config) for stride in config.strides
        )

    def forward(self, features: Features) -> Features:
        """features.tokens: (b, prefix + h * w, d), of which features.grid says h and w. maps: (b, c, rows, columns)
        each.
        """
        x_bdhw = self._map(features)
        return Features(maps=tuple(level(x_bdhw) for level in self.levels), extras=features.extras)

    def _map(self, features: Features) -> Tensor:
        """(b, d, rows, columns), of the stride that the pyramid begins with."""
        tokens, grid = features.tokens, features.grid
        if tokens is None or grid is None:
            raise InvalidInput("simple_fpn needs tokens and their grid, which the backbone has not given.")
        patches = tokens[:, self.prefix_tokens :]
        if patches.shape[1] != grid[0] * grid[1]:
            raise InvalidInput(
                f"simple_fpn: {patches.shape[1]} tokens of patches were found, but a grid of {grid[0]} x {grid[1]}."
            )
        x_bdhw = patches.transpose(1, 2).reshape(patches.shape[0], -1, *grid)
        if self.stride == self.base:
            return x_bdhw
        size = [max(round(side * self.stride / self.base), 1) for side in grid]
        return F.interpolate(x_bdhw, size, mode="bilinear", align_corners=False)

    def init_weights(self, generator: torch.Generator) -> None:
        """As torch has it by default, which is what the authors' code uses."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.kaiming_uniform_(module.weight, a=math.sqrt(5), generator=generator)
                if module.bias is not None:
                    bound = 1 / math.sqrt(module.weight[0].numel())
                    nn.init.uniform_(module.bias, -bound, bound, generator=generator)
            elif isinstance(module, MapNorm):
                nn.init.ones_(module.weight)
                nn.init.zeros_(module.bias)
