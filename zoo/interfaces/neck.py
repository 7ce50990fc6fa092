"""Necks adapt a backbone's features to what a head needs."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from zoo.interfaces.feature_spec import FeatureSpec
from zoo.interfaces.features import Features

__all__ = ["Neck"]


class Neck(nn.Module):
    """Built from the backbone's FeatureSpecs that meet its requirement, and its own `NeckConfig`; `forward` turns
    Features into Features of which `config.feature_specs(features)` says what they are.
    """

    def __init__(self, features: tuple[FeatureSpec, ...], config: Any) -> None:
        super().__init__()
        self.features = features
        self.config = config

    def forward(self, features: Features) -> Features:
        """The features that the head is given."""
        raise NotImplementedError

    def init_weights(self, generator: torch.Generator) -> None:
        """Fill every own parameter as the paper says, drawing only from the generator."""
        raise NotImplementedError
