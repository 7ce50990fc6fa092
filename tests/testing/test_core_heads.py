"""The heads that the core brings keep what every head promises."""

from __future__ import annotations

import torch

from zoo.interfaces import FeatureSpec
from zoo.testing import HeadConformance

TEXT = (FeatureSpec(name="tokens", channels=12, kind="tokens", modality="text", causal=True),)
IMAGE = (FeatureSpec(name="map", channels=12, kind="map", modality="image", stride=8),)
LABELS = {"labels": ["a", "b", "c"]}
SCORES = {"vocab_size": 20, "bias": True}


class Labels(HeadConformance):
    head_config = LABELS

    def target(self, batch, size):
        return torch.arange(batch) % 3


class TestImageClassifier(Labels):
    head = "image-classifier"
    features = IMAGE


class TestLastTokenClassifier(Labels):
    head = "last-token-classifier"
    features = TEXT


class TestCausalLM(HeadConformance):
    head = "causal-lm"
    head_config = SCORES
    features = TEXT

    def target(self, batch, size):
        """Tokens, of which more and more don't count."""
        ids = torch.randint(20, (batch, size), generator=torch.Generator().manual_seed(0))
        for row in range(batch):
            ids[row, :row] = -100
        return ids
