"""The configuration of the simple feature pyramid. Torch-free."""

from __future__ import annotations

import math
from dataclasses import dataclass

from zoo.interfaces import FeatureSpec
from zoo.interfaces.neck_config import NeckConfig

__all__ = ["SimpleFPNConfig", "nearest_power_of_two"]

MAX_CHANNELS = 2**24
"""More than any map has."""

MAX_STRIDE = 2**12
"""More than any patch."""


@dataclass(frozen=True, kw_only=True)
class SimpleFPNConfig(NeckConfig):
    """channels: of every map. strides: of the maps, in pixels, from fine to coarse; powers of two."""

    channels: int = 256
    strides: tuple[int, ...] = (4, 8, 16, 32)
    layer_norm_eps: float = 1e-6

    def validate(self) -> None:
        self.require_positive("channels", "layer_norm_eps")
        if self.channels > MAX_CHANNELS:
            raise self.invalid("channels", f"must be at most {MAX_CHANNELS}, found {self.channels}")
        if not self.strides:
            raise self.invalid("strides", "must name at least one stride")
        for stride in self.strides:
            if not 0 < stride <= MAX_STRIDE or stride & (stride - 1):
                raise self.invalid("strides", f"must be powers of two of at most {MAX_STRIDE}, found {stride}")
        if list(self.strides) != sorted(set(self.strides)):
            raise self.invalid("strides", f"must rise, found {list(self.strides)}")

    def feature_specs(self, features: tuple[FeatureSpec, ...]) -> tuple[FeatureSpec, ...]:
        """A map per stride."""
        source = features[-1]
        base = self.base_stride(source)
        finest = source.channels >> max(round(math.log2(base / self.strides[0])), 0)
        if finest < 1:
            raise self.invalid(
                "strides", f"{self.strides[0]} halves the {source.channels} channels of the tokens until none is left"
            )
        return tuple(
            FeatureSpec(
                name=f"p{stride.bit_length() - 1}",
                channels=self.channels,
                kind="map",
                modality=source.modality,
                stride=stride,
            )
            for stride in self.strides
        )

    def base_stride(self, source: FeatureSpec) -> int:
        """The stride of the map that the pyramid is made from: the power of two that is nearest to the tokens'."""
        if source.stride is None:
            raise self.invalid("strides", f"can't be had from '{source.name}', whose own stride is not known")
        return nearest_power_of_two(source.stride)


def nearest_power_of_two(stride: int) -> int:
    """16 for 14 and for 16."""
    return int(2 ** round(math.log2(stride)))
