"""Features as a backbone of given specifications would give them, without a backbone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from zoo.interfaces.feature_spec import FeatureSpec
from zoo.interfaces.features import Features
from zoo.spec import FeatureRequirement

__all__ = ["least_features", "make_features"]


def make_features(specs: Sequence[FeatureSpec], batch: int, size: Any) -> Features:
    """Random features, the same for the same arguments. size: (height, width) of images, or tokens of texts."""
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(batch, *shape, generator=generator)

    features = Features()
    maps = []
    for spec in specs:
        rows, columns = _grid(spec, size)
        if spec.kind == "map":
            maps.append(draw(spec.channels, rows, columns))
        elif spec.kind == "vector":
            features.vector = draw(spec.channels)
        elif isinstance(size, int):
            features.tokens = draw(spec.prefix_tokens + size, spec.channels)
        else:
            features.tokens = draw(spec.prefix_tokens + rows * columns, spec.channels)
            features.grid = (rows, columns)
    features.maps = tuple(maps)
    return features


def least_features(requirement: FeatureRequirement, channels: int) -> tuple[FeatureSpec, ...]:
    """No more than a requirement asks for."""
    modality = requirement.modality or "image"
    spatial = modality in ("image", "video") and requirement.kind != "vector"
    strides: tuple[int | None, ...] = requirement.strides or ((8,) if spatial else (None,))
    return tuple(
        FeatureSpec(
            name=f"least{number}",
            channels=channels,
            kind=requirement.kind,
            modality=modality,
            stride=stride,
            prefix_tokens=requirement.prefix_tokens,
            causal=bool(requirement.causal),
        )
        for number, stride in enumerate(strides)
    )


def size_for(specs: Sequence[FeatureSpec]) -> Any:
    """(height, width) of images that all strides divide, or a number of tokens."""
    if any(spec.modality == "text" for spec in specs):
        return 7
    strides = [spec.stride for spec in specs if spec.stride is not None]
    unit = math.lcm(*strides) if strides else 16
    return (2 * unit, 3 * unit)


def _grid(spec: FeatureSpec, size: Any) -> tuple[int, int]:
    if isinstance(size, int):
        return 1, size
    stride = spec.stride or 16
    return max(1, size[0] // stride), max(1, size[1] // stride)
