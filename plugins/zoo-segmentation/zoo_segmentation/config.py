"""The configurations of the heads. Torch-free, since layouts read and write them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar

from zoo.interfaces import TypedConfig

__all__ = ["FPNConfig", "SegmentationHeadConfig", "UperNetConfig"]

MAX_CHANNELS = 2**20
"""More than any head has; a file that says more is refused rather than allocated."""

MAX_CONVS = 100
"""More convolutions than any auxiliary head has."""

MAX_GRIDS = 100
"""More than the coarsest map is ever pooled to."""

MAX_GRID = 1024
"""More cells than a side of any pooled grid has."""


@dataclass(frozen=True, kw_only=True)
class SegmentationHeadConfig(TypedConfig):
    """What heads for semantic segmentation share. labels: their names, in the order of the scores. ignore_index: the
    value of a target's pixels that have no label and don't count. Where it is the number of a label, as transformers
    writes it for more than 255 of them, the model can be used, but not trained.
    """

    hub_names: ClassVar[Mapping[str, tuple[str, ...]]] = MappingProxyType({"ignore_index": ("loss_ignore_index",)})

    labels: tuple[str, ...] = ("LABEL_0", "LABEL_1")
    ignore_index: int = 255

    def validate(self) -> None:
        if not self.labels:
            raise self.invalid("labels", "must name at least one label")

    def require_channels(self, *names: str) -> None:
        """Raise ConfigError for the first of the fields that is no number of channels."""
        for name in names:
            if not 0 < getattr(self, name) <= MAX_CHANNELS:
                raise self.invalid(name, f"must be above 0 and at most {MAX_CHANNELS}, found {getattr(self, name)}")


@dataclass(frozen=True, kw_only=True)
class UperNetConfig(SegmentationHeadConfig):
    """UperNet (Xiao et al., 2018), with an auxiliary FCN head (Long et al., 2015) on an earlier map for training.

    channels: of every map inside. pool_scales: the sides of the grids that the coarsest map is pooled to.
    auxiliary_convs: how many convolutions come before its classifier. auxiliary_concat: whether the map itself joins
    what they give. auxiliary_index: which of the maps, counted from the finest, the auxiliary head sees.
    """

    hub_names: ClassVar[Mapping[str, tuple[str, ...]]] = MappingProxyType(
        {
            **SegmentationHeadConfig.hub_names,
            "channels": ("hidden_size",),
            "auxiliary": ("use_auxiliary_head",),
            "auxiliary_convs": ("auxiliary_num_convs",),
            "auxiliary_concat": ("auxiliary_concat_input",),
            "auxiliary_index": ("auxiliary_in_index",),
        }
    )

    channels: int = 512
    pool_scales: tuple[int, ...] = (1, 2, 3, 6)
    auxiliary: bool = True
    auxiliary_loss_weight: float = 0.4
    auxiliary_channels: int = 256
    auxiliary_convs: int = 1
    auxiliary_concat: bool = False
    auxiliary_index: int = 2

    def validate(self) -> None:
        super().validate()
        self.require_channels("channels", "auxiliary_channels")
        if not 0 < len(self.pool_scales) <= MAX_GRIDS:
            raise self.invalid("pool_scales", f"must name from 1 to {MAX_GRIDS} grids, found {len(self.pool_scales)}")
        for scale in self.pool_scales:
            if not 0 < scale <= MAX_GRID:
                raise self.invalid("pool_scales", f"must be above 0 and at most {MAX_GRID}, found {scale}")
        if self.auxiliary_loss_weight < 0:
            raise self.invalid("auxiliary_loss_weight", f"must not be negative, found {self.auxiliary_loss_weight}")
        if not 0 < self.auxiliary_convs <= MAX_CONVS:
            raise self.invalid(
                "auxiliary_convs", f"must be above 0 and at most {MAX_CONVS}, found {self.auxiliary_convs}"
            )
        if not 0 <= self.auxiliary_index < 4:
            raise self.invalid("auxiliary_index", f"must be one of the 4 maps, 0 to 3; found {self.auxiliary_index}")


@dataclass(frozen=True, kw_only=True)
class FPNConfig(SegmentationHeadConfig):
    """The semantic branch of Panoptic FPN (Kirillov et al., 2019). channels: of the pyramid's maps. branch_channels: of
    the maps that are added up, normalised in groups of channels, of which there are `groups`.
    """

    channels: int = 256
    branch_channels: int = 128
    groups: int = 32

    def validate(self) -> None:
        super().validate()
        self.require_channels("channels", "branch_channels")
        if self.groups < 1 or self.branch_channels % self.groups:
            raise self.invalid(
                "groups", f"branch_channels, {self.branch_channels}, is no multiple of {self.groups} groups"
            )
