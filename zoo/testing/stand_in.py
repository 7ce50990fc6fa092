"""A backbone that stands in where a head declares features and no architecture: it gives them, as they are."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from zoo.interfaces.config import TypedConfig
from zoo.interfaces.feature_spec import FeatureSpec
from zoo.interfaces.features import Features
from zoo.interfaces.model import Model
from zoo.registry import register
from zoo.spec import ArchitectureSpec
from zoo.testing.making_features import make_features

__all__ = ["NAME", "StandIn", "StandInConfig", "register_stand_in", "stand_in_values"]

NAME = "stand-in-of-zoo-testing"


@dataclasses.dataclass(frozen=True, kw_only=True)
class StandInConfig(TypedConfig):
    """features: the fields of each FeatureSpec."""

    features: tuple[Mapping[str, Any], ...] = ()

    def feature_specs(self) -> tuple[FeatureSpec, ...]:
        """What was declared."""
        return tuple(FeatureSpec(**each) for each in self.features)


class StandIn(Model):
    """Gives random features, the same every time, in a learned measure."""

    config: StandInConfig

    def __init__(self, config: StandInConfig) -> None:
        super().__init__(config)
        self.measure = nn.Parameter(torch.empty(()))

    def forward(self, pixel_values: Tensor | None = None, input_ids: Tensor | None = None) -> Features:
        """pixel_values: (batch, channels, height, width), or input_ids: (batch, length)."""
        if pixel_values is not None:
            batch, size = pixel_values.shape[0], tuple(pixel_values.shape[2:])
            features = make_features(self.config.feature_specs(), batch, size)
        else:
            assert input_ids is not None
            features = make_features(self.config.feature_specs(), input_ids.shape[0], input_ids.shape[1])
        return dataclasses.replace(
            features,
            maps=tuple(each * self.measure for each in features.maps),
            tokens=None if features.tokens is None else features.tokens * self.measure,
            vector=None if features.vector is None else features.vector * self.measure,
        )

    def init_weights(self, generator: torch.Generator) -> None:
        """Near 1."""
        nn.init.normal_(self.measure, mean=1.0, std=0.1, generator=generator)


def register_stand_in(modality: Any) -> None:
    """Make it known to this process, for inputs of a modality."""
    register(
        ArchitectureSpec(
            name=NAME,
            config=f"{__name__}:StandInConfig",
            model=f"{__name__}:StandIn",
            modality=modality,
            default_task="zoo-sdk:image-classification",
            preprocessor=f"zoo-sdk:{'text' if modality == 'text' else 'image'}",
            model_types=(NAME,),
            summary="Stands in for a backbone in tests",
        ),
        replace=True,
    )


def stand_in_values(features: Sequence[FeatureSpec]) -> dict[str, Any]:
    """Its config.json."""
    return {"features": [dataclasses.asdict(each) for each in features]}
