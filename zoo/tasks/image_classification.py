"""Image classification: a label for an image, from a pooled vector, and the pipeline."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeGuard, overload

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.errors import InvalidInput, PreprocessorError
from zoo.interfaces.feature_spec import FeatureSpec
from zoo.interfaces.features import Features
from zoo.interfaces.head import Head
from zoo.interfaces.task_model import ComposedTaskModel
from zoo.tasks.classification import ClassificationOutput, LabelScore, count_labels, label_loss, ranked_labels
from zoo.tasks.counts import require_count
from zoo.tasks.head_configs import ImageClassifierConfig

if TYPE_CHECKING:
    from zoo.preprocess.image import ImagePreprocessor
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
        if preprocessor is None:
            raise PreprocessorError(
                "The checkpoint has no preprocessor_config.json, which says how image-classification has to prepare "
                "images; there is no default that fits all models.",
                hint='Copy it into the directory; or choose: {"image_processor_type": "ViTImageProcessor"} as its '
                "contents resizes to 224 x 224 and brings values to -1..1, as ViT was trained.",
            )
        self.model = model
        self.preprocessor = preprocessor

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
        if _is_one(inputs):
            return next(self.iterate([inputs], top=top, batch_size=1))
        several: Iterable[ImageInput] = inputs  # type: ignore[assignment]  # a TypeGuard says nothing of the rest
        return list(self.iterate(several, top=top, batch_size=batch_size))

    def iterate(
        self, inputs: Iterable[ImageInput], *, top: int | None = None, batch_size: int = 8
    ) -> Iterator[list[LabelScore]]:
        """The results of many images, one by one, with one batch of them in memory."""
        require_count("batch_size", batch_size)
        if top is not None:
            require_count("top", top)
        given: object = inputs  # what a caller without a type checker may pass
        if not isinstance(given, Iterable):
            raise InvalidInput(f"An image or several were expected; found a value of type {type(given).__name__}.")
        remaining, done = iter(inputs), 0
        while batch := list(islice(remaining, batch_size)):
            yield from self._classify(batch, top, done)
            done += len(batch)

    def _classify(self, images: Sequence[ImageInput], top: int | None, done: int) -> Iterator[list[LabelScore]]:
        """done: how many images came before these, so that a message can count them."""
        parameter = next(self.model.parameters())
        items = self.preprocessor(images, first=done)
        ranked: dict[int, list[LabelScore]] = {}
        for indices in self.preprocessor.batches(items):
            collated = self.preprocessor.collate([items[index] for index in indices])
            inputs = {name: value.to(parameter.device, parameter.dtype) for name, value in collated.items()}
            with torch.inference_mode():
                logits = self.model(inputs).logits
            ranked.update(zip(indices, ranked_labels(logits, self.model.head.config.labels, top), strict=True))
        yield from (ranked[index] for index in range(len(items)))


def _is_one(inputs: ImageInput | Iterable[ImageInput]) -> TypeGuard[ImageInput]:
    from zoo.preprocess.image_reading import is_one_image

    return is_one_image(inputs)
