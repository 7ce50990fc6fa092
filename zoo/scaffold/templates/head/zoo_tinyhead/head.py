"""A linear head on directions: the score of a label is the cosine between its vector and the image's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.interfaces.feature_spec import FeatureSpec
from zoo.interfaces.features import Features
from zoo.interfaces.head import Head
from zoo.tasks.classification import ClassificationOutput
from zoo_tinyhead.config import TinyheadConfig

__all__ = ["TinyheadClassifier"]


class TinyheadClassifier(Head):
    """Built from what the backbone says of its features; it never sees the backbone itself."""

    config: TinyheadConfig

    def __init__(self, features: tuple[FeatureSpec, ...], config: TinyheadConfig) -> None:
        super().__init__(features, config)
        self.weight = nn.Parameter(torch.empty(len(config.labels), features[-1].channels))

    def forward(self, features: Features, **options: Any) -> ClassificationOutput:
        assert features.vector is not None
        cosines = F.linear(F.normalize(features.vector, dim=-1), F.normalize(self.weight, dim=-1))
        return ClassificationOutput(cosines * self.config.scale)

    def init_weights(self, generator: torch.Generator) -> None:
        nn.init.normal_(self.weight, generator=generator)

    def count(self, target: Tensor) -> dict[str, Tensor]:
        """target: (batch,) indices of labels."""
        return {"label": torch.tensor(target.shape[0], device=target.device)}

    def loss(
        self, output: ClassificationOutput, target: Tensor, denominators: Mapping[str, Tensor] | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """A sum over this batch divided by the count of all: so batches that are accumulated are one large one."""
        total = (denominators or self.count(target))["label"]
        loss = F.cross_entropy(output.logits.float(), target, reduction="sum") / total
        return loss, {"label": loss}
