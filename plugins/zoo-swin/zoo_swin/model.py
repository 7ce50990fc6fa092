"""Swin Transformer (Liu et al., 2021, arXiv:2103.14030) and Swin Transformer V2 (Liu et al., 2022, arXiv:2111.09883).

Shapes: b batch, h rows and w columns of a map, d channels of its stage.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.errors import InvalidInput
from zoo.interfaces.features import Features
from zoo.interfaces.model import Model
from zoo.nn.by_rows import by_rows
from zoo.nn.drop_path import DropPath
from zoo.nn.initialisation import init_linear_and_norms
from zoo.nn.recompute import run_layer
from zoo_swin.attention import CosineWindowAttention, WindowAttention
from zoo_swin.config import SwinV2Config, Transformer
from zoo_swin.position_bias import RelativePositionBias
from zoo_swin.windows import Windows

__all__ = ["Swin", "SwinV2"]

ACTIVATIONS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "gelu": F.gelu,
    "gelu_new": lambda x: F.gelu(x, approximate="tanh"),
    "gelu_pytorch_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "relu": F.relu,
    "selu": F.selu,
    "silu": F.silu,
}


class PatchEmbedding(nn.Module):
    """Patches to vectors, normalised; with learned absolute positions where the configuration says so."""

    def __init__(self, config: Transformer) -> None:
        super().__init__()
        self.patch, self.grid = config.patch, config.grid
        self.projection = nn.Conv2d(config.num_channels, config.embed_dim, self.patch, stride=self.patch)
        self.norm = nn.LayerNorm(config.embed_dim)
        rows, columns = config.grid
        self.position_embeddings = (
            nn.Parameter(torch.empty(1, rows * columns, config.embed_dim)) if config.use_absolute_embeddings else None
        )
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, pixel_values: Tensor) -> Tensor:
        """pixel_values: (b, channels, height, width) -> (b, h, w, d). Padded with zeros to whole patches."""
        below, right = (-size % self.patch for size in pixel_values.shape[-2:])
        if below or right:
            pixel_values = F.pad(pixel_values, (0, right, 0, below))
        x_bhwd = self.norm(self.projection(pixel_values).permute(0, 2, 3, 1))
        if self.position_embeddings is not None:
            x_bhwd = x_bhwd + self._positions(self.position_embeddings, x_bhwd.shape[1], x_bhwd.shape[2])
        return self.dropout(x_bhwd)

    def _positions(self, learned: Tensor, rows: int, columns: int) -> Tensor:
        """(1, rows, columns, d): interpolated where the image is of another size than the network was made for."""
        positions = learned.view(1, *self.grid, -1)
        if (rows, columns) == self.grid:
            return positions
        resized = F.interpolate(positions.permute(0, 3, 1, 2), (rows, columns), mode="bicubic", align_corners=False)
        return resized.permute(0, 2, 3, 1)


class MLP(nn.Module):
    """The feed-forward network of a block."""

    def __init__(self, config: Transformer, channels: int) -> None:
        super().__init__()
        self.hidden = int(config.mlp_ratio * channels)
        self.fc1 = nn.Linear(channels, self.hidden)
        self.fc2 = nn.Linear(self.hidden, channels)
        self.activation = ACTIVATIONS[config.hidden_act]

    def forward(self, x: Tensor) -> Tensor:
        return by_rows(self._whole, x, self.hidden)

    def _whole(self, x: Tensor) -> Tensor:
        return self.fc2(self.activation(self.fc1(x)))


class Block(nn.Module):
    """Attention within windows and a feed-forward network, each on normalised input and added to it (Swin, equation 3).

    shift: by how many positions the windows are moved; every other block's are, by half a window.
    """

    attention: WindowAttention

    def __init__(self, config: Transformer, stage: int, index: int, drop_path: float) -> None:
        super().__init__()
        channels, heads = config.channels(stage), config.num_heads[stage]
        self.window = config.window(stage)
        self.shift = config.window_size // 2 if index % 2 else 0
        self.shift_small = config.dense
        self.norm1 = nn.LayerNorm(channels, eps=config.layer_norm_eps)
        self.attention = self.make_attention(config, stage, channels, heads)
        self.norm2 = nn.LayerNorm(channels, eps=config.layer_norm_eps)
        self.mlp = MLP(config, channels)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.drop_path = DropPath(drop_path)

    def make_attention(self, config: Transformer, stage: int, channels: int, heads: int) -> WindowAttention:
        """The attention of this kind of block."""
        return WindowAttention(config, channels, heads, self.window)

    def forward(self, x_bhwd: Tensor) -> Tensor:
        x_bhwd = x_bhwd + self.drop_path(self.dropout(self.attend(self.norm1(x_bhwd))))
        return x_bhwd + self.drop_path(self.dropout(self.mlp(self.norm2(x_bhwd))))

    def attend(self, x_bhwd: Tensor) -> Tensor:
        """Attention within the windows of a map."""
        windows = Windows(x_bhwd.shape[1], x_bhwd.shape[2], self.window, self.shift_for(*x_bhwd.shape[1:3]))
        return windows.join(self.attention(windows.cut(x_bhwd), windows))

    def shift_for(self, height: int, width: int) -> int:
        """By how much the windows of a map are moved: by none where one window is enough in a direction."""
        return 0 if min(height, width) <= self.window and not self.shift_small else self.shift


class BlockV2(Block):
    """A block that normalises the output of its branches, so that activations don't grow with depth (Swin V2,
    figure 1).

    Windows and shifts are those of the image that the network was made for, whatever the image is, since the bias
    depends on the size of the windows.
    """

    def __init__(self, config: SwinV2Config, stage: int, index: int, drop_path: float) -> None:
        super().__init__(config, stage, index, drop_path)
        if config.stage_grid(stage)[0] <= self.window:
            self.shift = 0

    def make_attention(self, config: Transformer, stage: int, channels: int, heads: int) -> WindowAttention:
        assert isinstance(config, SwinV2Config)
        return CosineWindowAttention(config, channels, heads, self.window, config.pretrained_window_sizes[stage])

    def forward(self, x_bhwd: Tensor) -> Tensor:
        x_bhwd = x_bhwd + self.drop_path(self.norm1(self.dropout(self.attend(x_bhwd))))
        return x_bhwd + self.drop_path(self.norm2(self.dropout(self.mlp(x_bhwd))))

    def shift_for(self, height: int, width: int) -> int:
        return self.shift


class PatchMerging(nn.Module):
    """Halves the resolution and doubles the channels: 2 x 2 positions are normalised and mapped to one."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = self.make_norm(channels)
        self.reduction = nn.Linear(4 * channels, 2 * channels, bias=False)

    def make_norm(self, channels: int) -> nn.LayerNorm:
        """Of what is mapped."""
        return nn.LayerNorm(4 * channels)

    def forward(self, x_bhwd: Tensor) -> Tensor:
        """(b, h, w, d) -> (b, h / 2, w / 2, 2 d), rounded up."""
        return self.merge(self.gather(x_bhwd))

    def merge(self, x_bhwd: Tensor) -> Tensor:
        """4 d channels to 2 d."""
        return self.reduction(self.norm(x_bhwd))

    @staticmethod
    def gather(x_bhwd: Tensor) -> Tensor:
        """The four positions' channels side by side: the two of the left column, then those of the right."""
        below, right = x_bhwd.shape[1] % 2, x_bhwd.shape[2] % 2
        if below or right:
            x_bhwd = F.pad(x_bhwd, (0, 0, 0, right, 0, below))
        return torch.cat([x_bhwd[:, row::2, column::2] for column in range(2) for row in range(2)], dim=-1)


class PatchMergingV2(PatchMerging):
    """Normalises after the map rather than before."""

    def make_norm(self, channels: int) -> nn.LayerNorm:
        return nn.LayerNorm(2 * channels)

    def merge(self, x_bhwd: Tensor) -> Tensor:
        return self.norm(self.reduction(x_bhwd))


class Stage(nn.Module):
    """Blocks of one resolution; `downsample` makes the input of the next stage."""

    def __init__(self, blocks: list[Block], downsample: PatchMerging | None) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.downsample = downsample


class Swin(Model):
    """Swin Transformer: images of any size to a map per stage and a vector."""

    config: Transformer
    gradient_checkpointing = False
    """In training, compute the inside of every block again in the backward pass rather than keep it."""

    def __init__(self, config: Transformer) -> None:
        super().__init__(config)
        last = len(config.depths) - 1
        rates = iter(_rising(config.drop_path_rate, sum(config.depths)))
        self.patch_embedding = PatchEmbedding(config)
        self.stages = nn.ModuleList(
            Stage(
                [self.make_block(stage, index, next(rates)) for index in range(depth)],
                self.make_merging(config.channels(stage)) if stage < last else None,
            )
            for stage, depth in enumerate(config.depths)
        )
        self.norm = None if config.dense else nn.LayerNorm(config.channels(last), eps=config.layer_norm_eps)

    def make_block(self, stage: int, index: int, drop_path: float) -> Block:
        """A block of this version."""
        return Block(self.config, stage, index, drop_path)

    def make_merging(self, channels: int) -> PatchMerging:
        """What joins two stages in this version."""
        return PatchMerging(channels)

    def forward(self, pixel_values: Tensor) -> Features:
        """pixel_values: (b, num_channels, height, width), normalised, of any size.

        maps: of each stage, before it is merged; (b, d, height / stride, width / stride), rounded up. vector: (b, d),
        the mean of the last map after the last norm; none for a `dense` configuration.
        """
        if pixel_values.ndim != 4 or pixel_values.shape[1] != self.config.num_channels:
            raise InvalidInput(
                f"pixel_values: expected (batch, {self.config.num_channels}, height, width), "
                f"found {tuple(pixel_values.shape)}."
            )
        if 0 in pixel_values.shape[2:]:
            raise InvalidInput(f"pixel_values: the images have no pixels, {tuple(pixel_values.shape)}.")
        # How maps are cut into windows is arithmetic on their size, which a compiler that takes sizes for unknowns
        # reasons about for minutes: each size of image gets a graph of its own. The batch may still be of any size.
        for size in pixel_values.shape[2:]:
            operator.index(size)
        x_bhwd = self.patch_embedding(pixel_values)
        maps = []
        for stage in self.stages:
            assert isinstance(stage, Stage)
            for block in stage.blocks:
                x_bhwd = run_layer(block, x_bhwd, recompute=self.gradient_checkpointing)
            maps.append(x_bhwd.permute(0, 3, 1, 2))
            if stage.downsample is not None:
                x_bhwd = stage.downsample(x_bhwd)
        vector = self.norm(x_bhwd).flatten(1, 2).mean(dim=1) if self.norm is not None else None
        return Features(maps=tuple(maps), vector=vector)

    def init_weights(self, generator: torch.Generator) -> None:
        std = self.config.initializer_range
        init_linear_and_norms(self, std, generator)
        for module in self.modules():
            if isinstance(module, RelativePositionBias):
                nn.init.trunc_normal_(module.weight, std=std, generator=generator)
            elif isinstance(module, CosineWindowAttention):
                nn.init.constant_(module.logit_scale, math.log(10))
            elif isinstance(module, PatchEmbedding) and module.position_embeddings is not None:
                nn.init.trunc_normal_(module.position_embeddings, std=std, generator=generator)


class SwinV2(Swin):
    """Swin Transformer V2: cosine attention, a continuous position bias, and norms at the end of the branches."""

    config: SwinV2Config

    def make_block(self, stage: int, index: int, drop_path: float) -> Block:
        return BlockV2(self.config, stage, index, drop_path)

    def make_merging(self, channels: int) -> PatchMerging:
        return PatchMergingV2(channels)

    def init_weights(self, generator: torch.Generator) -> None:
        super().init_weights(generator)
        for module in self.modules():
            if isinstance(module, BlockV2):  # every branch begins as nothing, as in the authors' code
                nn.init.zeros_(module.norm1.weight)
                nn.init.zeros_(module.norm2.weight)


def _rising(last: float, count: int) -> list[float]:
    """From 0 to `last` in equal steps."""
    return [last * index / max(count - 1, 1) for index in range(count)]
