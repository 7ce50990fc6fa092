"""The configurations of the heads. Torch-free, since layouts read and write them."""

from __future__ import annotations

from dataclasses import dataclass

from zoo.interfaces import TypedConfig

__all__ = ["SegmentationHeadConfig", "UperNetConfig"]

MAX_CHANNELS = 2**20
"""More than any head has; a file that says more is refused."""


@dataclass(frozen=True, kw_only=True)
class SegmentationHeadConfig(TypedConfig):
    """What heads for semantic segmentation have. labels: their names, in the order of the scores. ignore_index: the
    value of a target's pixels that have no label and don't count.
    """

    labels: tuple[str, ...] = ("LABEL_0", "LABEL_1")
    ignore_index: int = 255
    initializer_range: float = 0.02

    def validate(self) -> None:
        if not self.labels:
            raise self.invalid("labels", "must name at least one label")
        if 0 <= self.ignore_index < len(self.labels):
            raise self.invalid("ignore_index", f"{self.ignore_index} is the label {self.labels[self.ignore_index]!r}")
        if self.initializer_range < 0:
            raise self.invalid("initializer_range", f"must not be negative, found {self.initializer_range}")


@dataclass(frozen=True, kw_only=True)
class UperNetConfig(SegmentationHeadConfig):
    """UperNet (Xiao et al., 2018) with an auxiliary FCN head (Long et al., 2015) on an earlier map.

    channels: of every map inside. pool_scales: the sides of the grids that the coarsest map is pooled to.
    auxiliary_index: of the maps from fine to coarse, the one that the auxiliary head sees.
    """

    channels: int = 512
    pool_scales: tuple[int, ...] = (1, 2, 3, 6)
    auxiliary: bool = True
    auxiliary_loss_weight: float = 0.4
    auxiliary_channels: int = 256
    auxiliary_convs: int = 1
    auxiliary_concat: bool = False
    auxiliary_index: int = 2
