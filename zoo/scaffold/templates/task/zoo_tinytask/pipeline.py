"""The task from raw inputs to results: `zoo.pipeline("tinytask", ...)` and `zoo run tinytask`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, overload

from torch import Tensor

from zoo.interfaces.task_model import ComposedTaskModel
from zoo.tasks.batching import batched
from zoo.tasks.image_batches import is_one, require_image_preprocessor, results_of_images

if TYPE_CHECKING:
    from zoo.preprocess.image import ImageItem, ImagePreprocessor
    from zoo.preprocess.image_reading import ImageInput

__all__ = ["Score", "TinytaskPipeline"]


@dataclass(frozen=True)
class Score:
    """The number of an image."""

    score: float

    @property
    def text(self) -> str:
        """What `zoo run` prints."""
        return f"{self.score:.4f}"


class TinytaskPipeline:
    """Images to numbers."""

    def __init__(self, model: ComposedTaskModel, preprocessor: ImagePreprocessor | None) -> None:
        self.model = model
        self.preprocessor = require_image_preprocessor(
            preprocessor,
            "tinytask",
            '{"image_processor_type": "ViTImageProcessor"}',
            "resizes to 224 x 224 and brings values to -1..1, as ViT was trained",
        )

    @overload
    def __call__(  # type: ignore[overload-overlap]  # a path, an array and a tensor are iterable, too
        self, inputs: ImageInput, *, batch_size: int = 8
    ) -> Score: ...
    @overload
    def __call__(self, inputs: Iterable[ImageInput], *, batch_size: int = 8) -> list[Score]: ...
    def __call__(self, inputs: ImageInput | Iterable[ImageInput], *, batch_size: int = 8) -> Score | list[Score]:
        """One image gives a Score; several, in batches, a list of them. What is taken by keyword is an option of `zoo
        run tinytask`.
        """
        if is_one(inputs):
            return next(self.iterate([inputs], batch_size=1))
        several: Iterable[ImageInput] = inputs  # type: ignore[assignment]  # is_one says nothing of the rest
        return list(self.iterate(several, batch_size=batch_size))

    def iterate(self, inputs: Iterable[ImageInput], *, batch_size: int = 8) -> Iterator[Score]:
        """The results of many images, one by one, with one batch of them in memory."""

        def compute(inputs: Mapping[str, Tensor], items: Sequence[ImageItem]) -> Iterator[Score]:
            return (Score(score) for score in self.model(inputs).score.float().tolist())

        for first, batch in batched(inputs, batch_size, "An image"):
            yield from results_of_images(batch, self.model, self.preprocessor, compute, first=first)
