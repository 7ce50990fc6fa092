"""What heads for semantic segmentation share: the maps that they are made for, and their loss."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from zoo.errors import InvalidInput
from zoo.interfaces.features import Features
from zoo.interfaces.head import Head
from zoo_segmentation.blocks import init_blocks
from zoo_segmentation.config import SegmentationHeadConfig
from zoo_segmentation.loss import count_pixels, pixel_loss, require_target
from zoo_segmentation.output import SegmentationOutput

__all__ = ["SegmentationHead"]


class SegmentationHead(Head):
    """Maps from fine to coarse to the scores of every position of the finest."""

    config: SegmentationHeadConfig

    def maps(self, features: Features) -> tuple[Tensor, ...]:
        """The maps that the head was built for, of those that there are."""
        if len(features.maps) != len(self.features):
            raise InvalidInput(
                f"features: {len(self.features)} maps were expected ({', '.join(spec.name for spec in self.features)}),"
                f" found {len(features.maps)}."
            )
        return features.maps

    def init_weights(self, generator: torch.Generator) -> None:
        init_blocks(self, generator)

    def count(self, target: Tensor) -> dict[str, Tensor]:
        """How many pixels have a label. target: (batch, height, width) int64."""
        return {"pixel": count_pixels(target, self.config.ignore_index)}

    def loss(
        self, output: SegmentationOutput, target: Tensor, denominators: Mapping[str, Tensor] | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The mean cross-entropy of the pixels that have a label, 0 where none has.

        target: (batch, height, width) int64, of any size; the logits are resized to it. Raises InvalidInput for a
        target of another kind, or with a label that there is not.
        """
        require_target(output.logits, target, self.config)
        total = (self.count(target) if denominators is None else denominators)["pixel"]
        loss = pixel_loss(output.logits, target, self.config.ignore_index, total)
        return loss, {"pixel": loss}
