"""Image classification: a label for an image, from a pooled vector, and the pipeline."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, overload

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.interfaces.feature_spec import FeatureSpec
from zoo.interfaces.features import Features
from zoo.interfaces.head import Head
from zoo.interfaces.task_model import ComposedTaskModel
from zoo.tasks.batching import batched
from zoo.tasks.classification import ClassificationOutput, LabelScore, count_labels, label_loss, ranked_labels
from zoo.tasks.counts import require_count
from zoo.tasks.head_configs import ImageClassifierConfig
from zoo.tasks.image_batches import is_one, require_image_preprocessor, results_of_images

if TYPE_CHECKING:
    from zoo.preprocess.image import ImageItem, ImagePreprocessor
    from zoo.preprocess.image_reading import ImageInput

__all__ = ["ImageClassificationPipeline", "ImageClassifier"]


class ImageClassifier(Head):
    """A linear map of one vector per image: the backbone's own or, where it gives none, the mean over the positions of
    its coarsest map (global average pooling; Lin et al., 2013) or of its tokens.
    """

    config: ImageClassifierConfig

    def __init__(self, features: tuple[FeatureSpec, ...], config: ImageClassifierConfig) -> None:
        super().__init__(features, config)
        self.source = features[-1]
        self.weight = nn.Parameter(torch.empty(len(config.labels), self.source.channels))
        self.bias = nn.Parameter(torch.empty(len(config.labels)))

    def forward(self, features: Features, **options: Any) -> ClassificationOutput:
        return ClassificationOutput(F.linear(self._pooled(features), self.weight, self.bias))

    def _pooled(self, features: Features) -> Tensor:
        """(batch, channels)."""
        if self.source.kind == "vector":
            assert features.vector is not None
            return features.vector
        if self.source.kind == "map":
            return features.maps[-1].mean(dim=(-2, -1))
        assert features.tokens is not None
        tokens = features.tokens[:, self.source.prefix_tokens :]
        if features.mask is None:
            return tokens.mean(dim=1)
        real = features.mask[:, self.source.prefix_tokens :, None].to(tokens.dtype)
        return (tokens * real).sum(dim=1) / real.sum(dim=1).clamp(min=1)

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


class ImageClassificationPipeline:
    """Images to labels with their probabilities, the likeliest first.

    An image is a path, the bytes of a file, a Pillow image, an array or a tensor; see `zoo.preprocess.image_reading`.
    """

    def __init__(self, model: ComposedTaskModel, preprocessor: ImagePreprocessor | None) -> None:
        self.model = model
        self.preprocessor = require_image_preprocessor(
            preprocessor,
            "image-classification",
            '{"image_processor_type": "ViTImageProcessor"}',
            "resizes to 224 x 224 and brings values to -1..1, as ViT was trained",
        )

    @overload
    def __call__(  # type: ignore[overload-overlap]  # a str, an array and a tensor are iterable, too
        self, inputs: ImageInput, *, top: int | None = None, batch_size: int = 8
    ) -> list[LabelScore]: ...
    @overload
    def __call__(
        self, inputs: Iterable[ImageInput], *, top: int | None = None, batch_size: int = 8
    ) -> list[list[LabelScore]]: ...
    def __call__(
        self, inputs: ImageInput | Iterable[ImageInput], *, top: int | None = None, batch_size: int = 8
    ) -> list[LabelScore] | list[list[LabelScore]]:
        """One image gives a list of LabelScore; several, in batches, a list of such lists. top: how many labels to
        return; all by default.
        """
        if is_one(inputs):
            return next(self.iterate([inputs], top=top, batch_size=1))
        several: Iterable[ImageInput] = inputs  # type: ignore[assignment]  # a TypeGuard says nothing of the rest
        return list(self.iterate(several, top=top, batch_size=batch_size))

    def iterate(
        self, inputs: Iterable[ImageInput], *, top: int | None = None, batch_size: int = 8
    ) -> Iterator[list[LabelScore]]:
        """The results of many images, one by one, with one batch of them in memory."""
        if top is not None:
            require_count("top", top)

        def compute(inputs: Mapping[str, Tensor], items: Sequence[ImageItem]) -> Iterator[list[LabelScore]]:
            return ranked_labels(self.model(inputs).logits, self.model.head.config.labels, top)

        for first, batch in batched(inputs, batch_size, "An image"):
            yield from results_of_images(batch, self.model, self.preprocessor, compute, first=first)
