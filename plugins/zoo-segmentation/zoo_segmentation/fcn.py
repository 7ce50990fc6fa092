"""The auxiliary head of UperNet: a small fully convolutional network (Long et al., 2015, arXiv:1411.4038)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from zoo_segmentation.blocks import ConvBlock, classifier
from zoo_segmentation.config import UperNetConfig

__all__ = ["AuxiliaryHead"]


class AuxiliaryHead(nn.Module):
    """Scores of the labels from one map, which sends gradients into the middle of the backbone in training."""

    def __init__(self, in_channels: int, config: UperNetConfig) -> None:
        super().__init__()
        channels = config.auxiliary_channels
        self.convs = nn.ModuleList(
            ConvBlock(channels if index else in_channels, channels, 3) for index in range(config.auxiliary_convs)
        )
        self.merge = ConvBlock(in_channels + channels, channels, 3) if config.auxiliary_concat else None
        self.classifier = classifier(channels, len(config.labels))

    def forward(self, map_bchw: Tensor) -> Tensor:
        """(b, in_channels, h, w) -> (b, labels, h, w)."""
        x = map_bchw
        for conv in self.convs:
            x = conv(x)
        if self.merge is not None:
            x = self.merge(torch.cat([map_bchw, x], dim=1))
        return self.classifier(x)
