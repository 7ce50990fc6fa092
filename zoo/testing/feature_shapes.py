"""What a configuration says of features, against the features that a model gives."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from zoo.interfaces.feature_spec import FeatureSpec
from zoo.interfaces.features import Features
from zoo.testing.failing import fail

__all__ = ["check_features"]

_CHANGE = "Make the config's `feature_specs` say what `forward` gives, or the other way round."


def check_features(specs: Sequence[FeatureSpec], features: Features, batch: int, size: Any) -> None:
    """Fail where kinds, numbers, channels, strides or prefix tokens are others. size: (height, width) of images."""
    maps = [spec for spec in specs if spec.kind == "map"]
    if len(maps) != len(features.maps):
        fail(f"feature_specs says {len(maps)} maps, forward gives {len(features.maps)}.", _CHANGE)
    for spec, found in zip(maps, features.maps, strict=True):
        _check_shape(
            f"map '{spec.name}'", found, (batch, spec.channels, None, None), "(batch, channels, rows, columns)"
        )
        if spec.stride is not None and isinstance(size, tuple):
            _check_grid(f"map '{spec.name}'", spec.stride, (found.shape[2], found.shape[3]), size)
    for kind, given in (("tokens", features.tokens), ("vector", features.vector)):
        of_kind = [spec for spec in specs if spec.kind == kind]
        if bool(of_kind) != (given is not None) or len(of_kind) > 1:
            fail(
                f"feature_specs says {len(of_kind)} of the kind '{kind}', and `Features.{kind}` is "
                f"{'None' if given is None else f'of {tuple(given.shape)}'}.",
                _CHANGE,
            )
        if given is not None and kind == "vector":
            _check_shape(f"vector '{of_kind[0].name}'", given, (batch, of_kind[0].channels), "(batch, channels)")
        elif given is not None:
            _check_tokens(of_kind[0], given, features, batch, size)


def _check_tokens(spec: FeatureSpec, tokens: Tensor, features: Features, batch: int, size: Any) -> None:
    name = f"tokens '{spec.name}'"
    _check_shape(name, tokens, (batch, None, spec.channels), "(batch, length, channels)")
    length = tokens.shape[1]
    if isinstance(size, int):
        if spec.stride in (None, 1) and length != size + spec.prefix_tokens:
            fail(f"{name}: a text of {size} tokens gives {length}, of which {spec.prefix_tokens} are prefix.", _CHANGE)
        return
    if spec.stride is None:
        return
    if features.grid is None:
        fail(f"{name} have stride {spec.stride}, and `Features.grid` is None.", "Set it to their rows and columns.")
    _check_grid(name, spec.stride, features.grid, size)
    prefix = length - math.prod(features.grid)
    if prefix != spec.prefix_tokens:
        fail(
            f"{name}: {length} tokens are {prefix} more than the grid {features.grid} has; feature_specs says "
            f"prefix_tokens={spec.prefix_tokens}.",
            _CHANGE,
        )


def _check_shape(name: str, found: Tensor, expected: tuple[int | None, ...], axes: str) -> None:
    shape = tuple(found.shape)
    if len(shape) != len(expected) or any(
        wanted not in (None, size) for wanted, size in zip(expected, shape, strict=True)
    ):
        wanted = ", ".join("any" if size is None else str(size) for size in expected)
        fail(f"{name} is {shape}; by feature_specs it is ({wanted}), {axes}.", _CHANGE)


def _check_grid(name: str, stride: int, found: tuple[int, int], size: tuple[int, int]) -> None:
    for side, positions in zip(size, found, strict=True):
        if positions not in (side // stride, -(-side // stride)):
            fail(
                f"{name}: an image of {size[0]} x {size[1]} gives {found[0]} x {found[1]} positions, which is no "
                f"stride of {stride}.",
                _CHANGE,
            )
