"""What the pipelines of images share: which inputs they take, what they ask of a checkpoint, and how they run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, TypeGuard, TypeVar

import torch
from torch import Tensor, nn

from zoo.errors import PreprocessorError

if TYPE_CHECKING:
    from zoo.preprocess.image import ImageItem, ImagePreprocessor
    from zoo.preprocess.image_reading import ImageInput

__all__ = ["is_one", "model_inputs", "require_image_preprocessor", "results_of_images"]

R = TypeVar("R")


def require_image_preprocessor(
    preprocessor: ImagePreprocessor | None, task: str, example: str, effect: str
) -> ImagePreprocessor:
    """The preprocessor, or PreprocessorError, which asks for a choice, when the checkpoint has none.

    example: contents of a preprocessor_config.json that may do; effect: what they make of images.
    """
    if preprocessor is None:
        raise PreprocessorError(
            f"The checkpoint has no preprocessor_config.json, which says how {task} has to prepare images; there is "
            "no default that fits all models.",
            hint="Copy it into the directory from where the weights came from. Or write it: with the contents\n"
            f"  {example}\nit {effect}.",
        )
    return preprocessor


def is_one(inputs: ImageInput | Iterable[ImageInput]) -> TypeGuard[ImageInput]:
    """Whether this is one image, and not several."""
    from zoo.preprocess.image_reading import is_one_image

    return is_one_image(inputs)


def model_inputs(model: nn.Module, preprocessor: ImagePreprocessor, items: Sequence[ImageItem]) -> dict[str, Tensor]:
    """The keyword arguments of the model for items of one size, on its device and in its dtype."""
    parameter = next(model.parameters())
    collated = preprocessor.collate(items)
    return {name: value.to(parameter.device, parameter.dtype) for name, value in collated.items()}


def results_of_images(
    images: Sequence[ImageInput],
    model: nn.Module,
    preprocessor: ImagePreprocessor,
    compute: Callable[[Mapping[str, Tensor], Sequence[ImageItem]], Iterable[R]],
    *,
    first: int = 0,
) -> Iterator[R]:
    """One result per image, in their order, though only those that are of one size after preparing go together.

    compute: the model's inputs and the items that they were made of to the results; nothing in it records gradients.
    first: the number of the first image, for messages. Raises InvalidInput naming the image that can't be used.
    """
    items = preprocessor(images, first=first)
    results: dict[int, R] = {}
    for indices in preprocessor.batches(items):
        together = [items[index] for index in indices]
        with torch.inference_mode():
            computed = list(compute(model_inputs(model, preprocessor, together), together))
        results.update(zip(indices, computed, strict=True))
    yield from (results[index] for index in range(len(items)))
