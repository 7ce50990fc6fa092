"""Heads turn features into a task's output."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from zoo.interfaces.feature_spec import FeatureSpec
from zoo.interfaces.features import Features

__all__ = ["Head"]


class Head(nn.Module):
    """Built from the backbone's (or neck's) FeatureSpecs and its own configuration.

    `forward(features)` gives the task's output; `loss(output, target, denominators)` its total loss and the named
    terms; `count(target)` the named denominators of that loss, so that gradient accumulation over batches is exact.
    """

    def __init__(self, features: tuple[FeatureSpec, ...], config: Any) -> None:
        super().__init__()
        self.features = features
        self.config = config

    def forward(self, features: Features, **options: Any) -> Any:
        """The task's output."""
        raise NotImplementedError

    def shared(self) -> Mapping[str, str]:
        """Own parameter -> the role of the backbone's parameter that it is, e.g. {"weight": "input_embedding"}."""
        return {}

    def init_weights(self, generator: torch.Generator) -> None:
        """Fill every own parameter as the paper says, drawing only from the generator."""
        raise NotImplementedError

    def count(self, target: Any) -> dict[str, Tensor]:
        """How many elements each term of the loss averages over."""
        raise NotImplementedError

    def loss(
        self, output: Any, target: Any, denominators: Mapping[str, Tensor] | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The total loss and its named terms.

        denominators: of the whole accumulated batch; by default `count(target)`.
        """
        raise NotImplementedError
