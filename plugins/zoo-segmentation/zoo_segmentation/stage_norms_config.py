"""The configuration of the neck that normalises maps. Torch-free."""

from __future__ import annotations

from dataclasses import dataclass

from zoo.interfaces import FeatureSpec, NeckConfig

__all__ = ["StageNormsConfig"]


@dataclass(frozen=True, kw_only=True)
class StageNormsConfig(NeckConfig):
    """layer_norm_eps: what is added to the variance."""

    layer_norm_eps: float = 1e-5

    def validate(self) -> None:
        self.require_positive("layer_norm_eps")

    def feature_specs(self, features: tuple[FeatureSpec, ...]) -> tuple[FeatureSpec, ...]:
        return features
