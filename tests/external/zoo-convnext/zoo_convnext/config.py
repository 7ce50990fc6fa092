"""The configuration of ConvNeXt, with the Hub's key names. Torch-free."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

from zoo.interfaces import FeatureSpec, TypedConfig

__all__ = ["ConvNextConfig"]

LARGEST = 2**16
"""More than any ConvNeXt has of anything."""


@dataclass(frozen=True, kw_only=True)
class ConvNextConfig(TypedConfig):
    """hidden_sizes, depths: channels and blocks of each stage. layer_scale_init_value: 0 for none.

    dense: only the maps are wanted, so there is neither a last norm nor a vector.
    """

    num_channels: int = 3
    patch_size: int = 4
    hidden_sizes: tuple[int, ...] = (96, 192, 384, 768)
    depths: tuple[int, ...] = (3, 3, 9, 3)
    hidden_act: Literal["gelu"] = "gelu"
    initializer_range: float = 0.02
    layer_norm_eps: float = 1e-12
    layer_scale_init_value: float = 1e-6
    drop_path_rate: float = 0.0
    dense: bool = False

    def validate(self) -> None:
        self.require_positive("num_channels", "patch_size", "layer_norm_eps")
        if not 0 < len(self.depths) <= 8 or len(self.hidden_sizes) != len(self.depths):
            raise self.invalid("depths", f"it and hidden_sizes must have the same length, from 1 to 8; {self.depths}")
        for name in ("hidden_sizes", "depths"):
            if not all(0 < size <= LARGEST for size in getattr(self, name)):
                raise self.invalid(name, f"must be from 1 to {LARGEST}, found {list(getattr(self, name))}")
        for name in ("num_channels", "patch_size"):
            if getattr(self, name) > LARGEST:
                raise self.invalid(name, f"must be at most {LARGEST}, found {getattr(self, name)}")
        if sum(self.depths) > 1000:
            raise self.invalid("depths", f"must be at most 1000 blocks in all, found {sum(self.depths)}")
        for name in ("initializer_range", "layer_scale_init_value"):
            if getattr(self, name) < 0:
                raise self.invalid(name, f"must not be negative, found {getattr(self, name)}")
        if not 0 <= self.drop_path_rate < 1:
            raise self.invalid("drop_path_rate", f"must be from 0 to below 1, found {self.drop_path_rate}")

    def feature_specs(self) -> tuple[FeatureSpec, ...]:
        maps = tuple(
            FeatureSpec(
                name=f"stage{stage + 1}", channels=d, kind="map", modality="image", stride=self.patch_size * 2**stage
            )
            for stage, d in enumerate(self.hidden_sizes)
        )
        if self.dense:
            return maps
        return (*maps, FeatureSpec(name="pooled", channels=self.hidden_sizes[-1], kind="vector", modality="image"))

    def maps_only(self) -> Self:
        return self.replace(dense=True)

    def write_hub(self, values: dict[str, Any], names: Sequence[str]) -> None:
        super().write_hub(values, names)
        if not self.dense:
            values.pop("dense", None)
        if "num_stages" in values:
            values["num_stages"] = len(self.depths)
