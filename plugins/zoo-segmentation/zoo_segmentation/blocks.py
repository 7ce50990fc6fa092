"""What the heads are made of."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.errors import InvalidInput

__all__ = ["ConvBlock", "classifier", "init_blocks", "resize"]

CLASSIFIER_STD = 0.01
"""Of a fresh classifier's weights, so that training begins with labels that are about equally likely."""


class ConvBlock(nn.Module):
    """A convolution that keeps the size, batch normalisation, ReLU. (b, in_channels, h, w) -> (b, channels, h, w)."""

    def __init__(self, in_channels: int, channels: int, kernel_size: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, channels, kernel_size, padding=kernel_size // 2, bias=False)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.activate(self.conv(x))

    def activate(self, x_bchw: Tensor) -> Tensor:
        """What follows the convolution. Raises InvalidInput for one value per channel, which is its own mean."""
        one = x_bchw.shape[0] * x_bchw.shape[2] * x_bchw.shape[3] == 1
        if (
            one and self.norm.training and isinstance(self.norm, nn.BatchNorm2d)
        ):  # SyncBatchNorm counts other processes'
            raise InvalidInput(
                "pixel_values: training needs batches of at least 2 images, since the mean over a whole image is "
                "normalised over the batch; found 1. Leave the last batch out, or call `eval()` on the batch norms."
            )
        return F.relu(self.norm(x_bchw), inplace=True)


def classifier(channels: int, labels: int) -> nn.Conv2d:
    """The scores of every position."""
    return nn.Conv2d(channels, labels, kernel_size=1)


def resize(x: Tensor, size: torch.Size) -> Tensor:
    """To the height and width of `size`, bilinearly."""
    return F.interpolate(x, size, mode="bilinear", align_corners=False)


def init_blocks(module: nn.Module, generator: torch.Generator) -> None:
    """Fill the parameters of all blocks and classifiers in the module, and forget running statistics.

    Convolutions that a ReLU follows keep the variance of what flows back through them (He et al., 2015).
    """
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            if part.bias is None:
                nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu", generator=generator)
            else:
                nn.init.normal_(part.weight, std=CLASSIFIER_STD, generator=generator)
                nn.init.zeros_(part.bias)
        elif isinstance(part, nn.BatchNorm2d):
            part.reset_running_stats()
            nn.init.ones_(part.weight)
            nn.init.zeros_(part.bias)
        elif isinstance(part, nn.GroupNorm):
            nn.init.ones_(part.weight)
            nn.init.zeros_(part.bias)
