"""A neck that normalises every map, as dense prediction with Swin wants it (Liu et al., 2021, section 4.3).

A classifier's backbone has only one norm, after its last stage; a head that sees all stages wants one for each.
"""

from __future__ import annotations

import torch
from torch import nn

from zoo.errors import InvalidInput
from zoo.interfaces.feature_spec import FeatureSpec
from zoo.interfaces.features import Features
from zoo.interfaces.neck import Neck
from zoo_segmentation.stage_norms_config import StageNormsConfig

__all__ = ["StageNorms"]


class StageNorms(Neck):
    """Layer normalisation over the channels of each position of each map."""

    config: StageNormsConfig

    def __init__(self, features: tuple[FeatureSpec, ...], config: StageNormsConfig) -> None:
        super().__init__(features, config)
        self.norms = nn.ModuleList(nn.LayerNorm(spec.channels, eps=config.layer_norm_eps) for spec in features)

    def forward(self, features: Features) -> Features:
        """maps: (b, channels, h, w) each, of the same shape after as before."""
        if len(features.maps) != len(self.norms):
            raise InvalidInput(f"features: {len(self.norms)} maps were expected, found {len(features.maps)}.")
        maps = (
            norm(map_bchw.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
            for norm, map_bchw in zip(self.norms, features.maps, strict=True)
        )
        return Features(maps=tuple(maps), extras=features.extras)

    def init_weights(self, generator: torch.Generator) -> None:
        for norm in self.norms:
            assert isinstance(norm, nn.LayerNorm)
            nn.init.ones_(norm.weight)
            nn.init.zeros_(norm.bias)
