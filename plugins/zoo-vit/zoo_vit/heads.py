"""Classifiers that read more than the class token."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.errors import CompositionError, InvalidInput
from zoo.interfaces.feature_spec import FeatureSpec
from zoo.interfaces.features import Features
from zoo.interfaces.head import Head
from zoo.interfaces.pytree import register_pytree
from zoo.tasks.classification import ClassificationOutput, count_labels, label_loss
from zoo.tasks.head_configs import ImageClassifierConfig

__all__ = ["ClassAndMeanClassifier", "DistilledClassifier", "DistilledOutput"]


class ClassAndMeanClassifier(Head):
    """A linear map of the class token and, behind it, the mean of the patches' tokens (DINOv2, section 7.1)."""

    config: ImageClassifierConfig

    def __init__(self, features: tuple[FeatureSpec, ...], config: ImageClassifierConfig) -> None:
        super().__init__(features, config)
        source = features[-1]
        self.prefix_tokens = source.prefix_tokens
        self.weight = nn.Parameter(torch.empty(len(config.labels), 2 * source.channels))
        self.bias = nn.Parameter(torch.empty(len(config.labels)))

    def forward(self, features: Features, **options: Any) -> ClassificationOutput:
        tokens = features.tokens
        assert tokens is not None
        pooled = torch.cat([tokens[:, 0], tokens[:, self.prefix_tokens :].mean(dim=1)], dim=1)
        return ClassificationOutput(F.linear(pooled, self.weight, self.bias))

    def init_weights(self, generator: torch.Generator) -> None:
        nn.init.normal_(self.weight, std=self.config.initializer_range, generator=generator)
        nn.init.zeros_(self.bias)

    def count(self, target: Tensor) -> dict[str, Tensor]:
        return count_labels(target)

    def loss(
        self, output: ClassificationOutput, target: Tensor, denominators: Mapping[str, Tensor] | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """target: (batch,) indices of labels."""
        return label_loss(output, target, denominators)


@register_pytree()
@dataclass
class DistilledOutput(ClassificationOutput):
    """logits: the mean of the two below, (batch, labels) each: by the class token, and by the distillation token."""

    class_logits: Tensor | None = None
    distillation_logits: Tensor | None = None


class DistilledClassifier(Head):
    """A linear map of the class token and another one of the distillation token (DeiT, section 4)."""

    config: ImageClassifierConfig

    def __init__(self, features: tuple[FeatureSpec, ...], config: ImageClassifierConfig) -> None:
        super().__init__(features, config)
        source = features[-1]
        if source.prefix_tokens != 2:  # a requirement can say no more than that there are enough
            raise CompositionError(
                "The head 'distilled-classifier' needs a class token and a distillation token before the patches, as "
                f"deit gives them; '{source.name}' has {source.prefix_tokens} such tokens."
            )
        channels, labels = source.channels, len(config.labels)
        self.class_classifier = nn.Linear(channels, labels)
        self.distillation_classifier = nn.Linear(channels, labels)

    def forward(self, features: Features, **options: Any) -> DistilledOutput:
        tokens = features.tokens
        assert tokens is not None
        by_class, by_distillation = self.class_classifier(tokens[:, 0]), self.distillation_classifier(tokens[:, 1])
        return DistilledOutput(
            logits=(by_class + by_distillation) / 2, class_logits=by_class, distillation_logits=by_distillation
        )

    def init_weights(self, generator: torch.Generator) -> None:
        for classifier in (self.class_classifier, self.distillation_classifier):
            nn.init.normal_(classifier.weight, std=self.config.initializer_range, generator=generator)
            nn.init.zeros_(classifier.bias)

    def count(self, target: Tensor) -> dict[str, Tensor]:
        return count_labels(target)

    def loss(
        self, output: DistilledOutput, target: Tensor, denominators: Mapping[str, Tensor] | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Hard distillation (DeiT, equation 3): the mean of both tokens' cross-entropies.

        target: (batch,) indices of labels; or (batch, 2), where the second is the label that the teacher gives, which
        the distillation token learns from.
        """
        if target.ndim not in (1, 2) or (target.ndim == 2 and target.shape[1] != 2):
            raise InvalidInput(
                "target: (batch,) labels, or (batch, 2) with the teacher's, were expected, "
                f"found {tuple(target.shape)}."
            )
        true, teacher = (target, target) if target.ndim == 1 else target.unbind(1)
        assert output.class_logits is not None and output.distillation_logits is not None
        by_class, _ = label_loss(ClassificationOutput(output.class_logits), true, denominators)
        by_distillation, _ = label_loss(ClassificationOutput(output.distillation_logits), teacher, denominators)
        return (by_class + by_distillation) / 2, {"label": by_class, "distillation": by_distillation}
