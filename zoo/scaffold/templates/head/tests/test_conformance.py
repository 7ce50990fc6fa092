"""What zoo asks of a head, on a backbone that is made up here: no other plugin is needed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

import zoo
from zoo.interfaces import FeatureSpec, TypedConfig
from zoo.interfaces.features import Features
from zoo.interfaces.model import Model
from zoo.spec import ArchitectureSpec
from zoo.testing import HeadConformance


@dataclass(frozen=True, kw_only=True)
class BackboneConfig(TypedConfig):
    channels: int = 12

    def feature_specs(self) -> tuple[FeatureSpec, ...]:
        return (FeatureSpec(name="pooled", channels=self.channels, kind="vector", modality="image"),)


class Backbone(Model):
    config: BackboneConfig

    def __init__(self, config: BackboneConfig) -> None:
        super().__init__(config)
        self.convolution = nn.Conv2d(3, config.channels, 8, stride=8)

    def forward(self, pixel_values: Tensor) -> Features:
        return Features(vector=self.convolution(pixel_values).mean(dim=(-2, -1)))

    def init_weights(self, generator: torch.Generator) -> None:
        for parameter in self.parameters():
            nn.init.normal_(parameter, std=0.1, generator=generator)


zoo.register(  # in this process alone
    ArchitectureSpec(
        name="backbone-of-this-test",
        config=f"{__name__}:BackboneConfig",
        model=f"{__name__}:Backbone",
        modality="image",
        default_task="zoo-sdk:image-classification",
        preprocessor="zoo-sdk:image",
        model_types=("backbone-of-this-test",),
    )
)


class TestTinyhead(HeadConformance):
    head = "zoo-tinyhead:tinyhead"
    architecture = "backbone-of-this-test"
    head_config = {"labels": ["cat", "dog", "owl"], "scale": 8.0}

    def target(self, batch: int, size: Any) -> Tensor:
        return torch.arange(batch) % 3
