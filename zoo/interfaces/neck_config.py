"""What the configuration of a neck has to say beyond its values. Torch-free."""

from __future__ import annotations

from dataclasses import dataclass

from zoo.interfaces.config import TypedConfig
from zoo.interfaces.feature_spec import FeatureSpec

__all__ = ["NeckConfig"]


@dataclass(frozen=True, kw_only=True)
class NeckConfig(TypedConfig):
    """A neck's configuration. All fields have defaults, so that it is enough to name a neck: `neck="simple_fpn"`."""

    def feature_specs(self, features: tuple[FeatureSpec, ...]) -> tuple[FeatureSpec, ...]:
        """What the neck makes of these features, which meet its requirement: what the head is chosen and built by."""
        raise NotImplementedError
