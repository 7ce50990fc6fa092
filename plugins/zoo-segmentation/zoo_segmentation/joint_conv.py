"""A convolution over maps of several resolutions, without making the large maps.

Heads resize all levels of a pyramid to the finest, put their channels side by side and convolve; that one convolution
is most of their work. Resizing and the sums over channels commute, since the one acts on positions and the others on
channels. So the sums are done where a level is small, one for each of the kernel's 9 taps, and what is resized,
shifted by its tap and added up are the results. For UperNet's four levels that leaves 57 of 154 billion multiplications
per image of 512 x 512, and nothing is as large as all levels side by side would be.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo_segmentation.blocks import ConvBlock, resize

__all__ = ["JointConvBlock"]


class JointConvBlock(ConvBlock):
    """A ConvBlock with a kernel of 3 x 3 over the channels of several maps, which are resized to the first one.

    in_channels: of each map.
    """

    def __init__(self, in_channels: Sequence[int], channels: int) -> None:
        super().__init__(sum(in_channels), channels, 3)
        self.in_channels = tuple(in_channels)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:  # type: ignore[override]
        """maps: (b, in_channels, h, w) each, of any sizes -> (b, channels, h, w) of the first."""
        first, *others = maps
        if not _is_plain(self.conv):
            resized = [resize(other, first.shape[-2:]) for other in others]
            return super().forward(torch.cat([first, *resized], dim=1))
        kernel, *kernels = self.conv.weight.split_with_sizes(self.in_channels, dim=1)
        joined = F.conv2d(first, kernel, padding=1)
        for other, its_kernel in zip(others, kernels, strict=True):
            joined = _add_resized(joined, other, its_kernel)
        return self.activate(joined)


def _is_plain(conv: nn.Module) -> bool:
    """Whether the weight is all that the module is. What adapters, quantisers, parametrizations and FSDP put in its
    place is of another class, and hooks, pruning's among them, and offloading expect to be called.
    """
    hooked = conv._forward_hooks or conv._forward_pre_hooks or conv._backward_hooks or conv._backward_pre_hooks
    return type(conv) is nn.Conv2d and not hooked and "forward" not in conv.__dict__


def _add_resized(joined: Tensor, small: Tensor, kernel: Tensor) -> Tensor:
    """Add what the kernel makes of a map that is resized bilinearly, with zeros around it.

    joined: (b, d, height, width). small: (b, c, h, w). kernel: (d, c, 3, 3).
    """
    batch, channels, height, width = joined.shape
    rows, columns = small.shape[2:]
    taps = kernel.permute(0, 2, 3, 1).flatten(0, 2)  # (d x 3 x 3, c)
    sums = (taps @ small.flatten(2)).view(batch, channels, 3, 3, rows, columns)
    sums = sums.transpose(3, 4).reshape(batch * channels, 3 * rows, 3 * columns)
    down, across = _resizing(rows, height, small), _resizing(columns, width, small)
    tall = down.expand(batch * channels, -1, -1).bmm(sums)  # (b x d, height, 3 w)
    flat = torch.addmm(joined.reshape(-1, width), tall.view(-1, 3 * columns), across.T)
    return flat.view(batch, channels, height, width)


def _resizing(size: int, target: int, like: Tensor) -> Tensor:
    """(target, 3 x size): the matrix that resizes one dimension linearly, once for each tap: shifted by -1, by 0 and by
    1, with zeros at the ends.
    """
    basis = torch.eye(size, dtype=like.dtype, device=like.device)
    matrix = F.interpolate(basis[None], target, mode="linear", align_corners=False)[0].T
    padded = F.pad(matrix, (0, 0, 1, 1))
    return torch.cat([padded[tap : tap + target] for tap in range(3)], dim=1)
