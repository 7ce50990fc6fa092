"""The configuration of Tinynet. Torch-free, so that `zoo info` can say what goes with it."""

from __future__ import annotations

from dataclasses import dataclass

from zoo.interfaces import FeatureSpec, TypedConfig

__all__ = ["TinynetConfig"]

PATCH = 4
"""Pixels to a position of the first map, in each direction."""

MAX_SIZE = 2**16
"""More than any network of this kind has of anything; a file that says more is refused rather than built."""


@dataclass(frozen=True, kw_only=True)
class TinynetConfig(TypedConfig):
    """num_channels: of the images. channels, depths: of each stage; a stage has half the resolution of the one before.

    Types are checked from the annotations. The fields are the keys of config.json.
    """

    num_channels: int = 3
    channels: tuple[int, ...] = (32, 64, 128, 256)
    depths: tuple[int, ...] = (1, 1, 2, 1)
    norm_eps: float = 1e-5
    initializer_range: float = 0.02

    def validate(self) -> None:
        self.require_positive("num_channels", "norm_eps")
        if len(self.channels) != 4 or len(self.depths) != 4:
            raise self.invalid("channels", f"it and depths must have 4 numbers each, found {len(self.channels)}")
        for name in ("channels", "depths"):
            if not all(0 < size <= MAX_SIZE for size in getattr(self, name)):
                raise self.invalid(name, f"each must be from 1 to {MAX_SIZE}, found {list(getattr(self, name))}")
        if self.num_channels > MAX_SIZE:
            raise self.invalid("num_channels", f"must be at most {MAX_SIZE}, found {self.num_channels}")
        if self.initializer_range < 0:
            raise self.invalid("initializer_range", f"must not be negative, found {self.initializer_range}")

    def feature_specs(self) -> tuple[FeatureSpec, ...]:
        """What `forward` gives, in its order: heads are chosen and built by this."""
        maps = tuple(
            FeatureSpec(name=f"stage{stage + 1}", channels=d, kind="map", modality="image", stride=PATCH * 2**stage)
            for stage, d in enumerate(self.channels)
        )
        return (*maps, FeatureSpec(name="pooled", channels=self.channels[-1], kind="vector", modality="image"))
