from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from zoo.interfaces.head import Head
from zoo.tasks.classification import ClassificationOutput


class PatchScores(Head):
    def __init__(self, features, config) -> None:
        super().__init__(features, config)
        self.weight = nn.Parameter(torch.empty(len(config.labels), features[0].channels))
        self.bias = nn.Parameter(torch.empty(len(config.labels)))
        self.gain = 1.0

    def forward(self, features, **options):
        pooled = features.tokens[:, 0]
        scores = F.linear(pooled, self.weight, self.bias)
        return ClassificationOutput(scores * self.gain / self.config.temperature)

    def init_weights(self, generator: torch.Generator) -> None:
        nn.init.normal_(self.weight, std=0.1, generator=generator)
        nn.init.zeros_(self.bias)

    def count(self, target):
        return {"label": torch.tensor(target.shape[0])}

    def loss(self, output, target, denominators=None):
        total = (denominators or self.count(target))["label"]
        loss = F.cross_entropy(output.logits, target, reduction="sum") / total
        return loss, {"label": loss}
