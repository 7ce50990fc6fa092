"""UperNet: unified perceptual parsing (Xiao et al., 2018, arXiv:1807.10221), its part for semantic segmentation.

Shapes: b batch, c channels of the head, h rows and w columns of a map.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from zoo.interfaces.feature_spec import FeatureSpec
from zoo.interfaces.features import Features
from zoo_segmentation.blocks import ConvBlock, classifier, resize
from zoo_segmentation.config import UperNetConfig
from zoo_segmentation.fcn import AuxiliaryHead
from zoo_segmentation.head import SegmentationHead
from zoo_segmentation.joint_conv import JointConvBlock
from zoo_segmentation.loss import pixel_loss
from zoo_segmentation.output import SegmentationOutput

__all__ = ["PyramidPooling", "UperNet"]


class PyramidPooling(nn.Module):
    """A map joined with its means over grids of several sizes, which tell each position of the whole picture (PSPNet;
    Zhao et al., 2017, arXiv:1612.01105).
    """

    def __init__(self, in_channels: int, config: UperNetConfig) -> None:
        super().__init__()
        self.scales = config.pool_scales
        self.projections = nn.ModuleList(ConvBlock(in_channels, config.channels, 1) for _ in self.scales)
        self.merge = JointConvBlock([in_channels, *(config.channels for _ in self.scales)], config.channels)

    def forward(self, map_bchw: Tensor) -> Tensor:
        """(b, in_channels, h, w) -> (b, c, h, w)."""
        pooled = (
            projection(F.adaptive_avg_pool2d(map_bchw, scale))
            for scale, projection in zip(self.scales, self.projections, strict=True)
        )
        return self.merge([map_bchw, *pooled])


class UperNet(SegmentationHead):
    """Pyramid pooling over the coarsest map, which goes down into the finer ones (FPN; Lin et al., 2017); what all
    levels have found is joined at the resolution of the finest.

    In training, and only there, an auxiliary head on another map gives logits of its own.
    """

    config: UperNetConfig

    def __init__(self, features: tuple[FeatureSpec, ...], config: UperNetConfig) -> None:
        super().__init__(features, config)
        channels, finer = config.channels, features[:-1]
        self.pyramid_pooling = PyramidPooling(features[-1].channels, config)
        self.laterals = nn.ModuleList(ConvBlock(spec.channels, channels, 1) for spec in finer)
        self.smoothings = nn.ModuleList(ConvBlock(channels, channels, 3) for _ in finer)
        self.fusion = JointConvBlock([channels for _ in features], channels)
        self.classifier = classifier(channels, len(config.labels))
        seen = features[config.auxiliary_index]
        self.auxiliary = AuxiliaryHead(seen.channels, config) if config.auxiliary else None

    def forward(self, features: Features, **options: Any) -> SegmentationOutput:
        maps = self.maps(features)
        logits = self.classifier(self.fusion(self.pyramid(maps)))
        if self.auxiliary is None or not self.training:
            return SegmentationOutput(logits)
        return SegmentationOutput(logits, auxiliary_logits=self.auxiliary(maps[self.config.auxiliary_index]))

    def pyramid(self, maps: tuple[Tensor, ...]) -> list[Tensor]:
        """Each level with what the coarser ones know: (b, c, h, w) each, from fine to coarse."""
        above = self.pyramid_pooling(maps[-1])
        levels = [above]
        for map_bchw, lateral, smoothing in reversed(list(zip(maps, self.laterals, self.smoothings, strict=False))):
            above = lateral(map_bchw) + resize(above, map_bchw.shape[-2:])
            levels.append(smoothing(above))
        return levels[::-1]

    def count(self, target: Tensor) -> dict[str, Tensor]:
        """How many pixels have a label, for each term. target: (batch, height, width) int64."""
        pixels = super().count(target)["pixel"]
        return {"pixel": pixels} if self.auxiliary is None else {"pixel": pixels, "auxiliary": pixels}

    def loss(
        self, output: SegmentationOutput, target: Tensor, denominators: Mapping[str, Tensor] | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The mean cross-entropy of the pixels that have a label, and with its weight that of the auxiliary logits,
        where there are any; the terms add up to the total. The rest as in `SegmentationHead`.
        """
        counts = self.count(target) if denominators is None else denominators
        loss, terms = super().loss(output, target, counts)
        if output.auxiliary_logits is None:
            return loss, terms
        auxiliary = pixel_loss(output.auxiliary_logits, target, self.config.ignore_index, counts["auxiliary"])
        terms["auxiliary"] = self.config.auxiliary_loss_weight * auxiliary
        return loss + terms["auxiliary"], terms
