"""Images to distances."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from zoo.interfaces.task_model import ComposedTaskModel
from zoo.preprocess.image import ImageItem, ImagePreprocessor
from zoo.preprocess.image_reading import ImageInput
from zoo.tasks.batching import batched
from zoo.tasks.image_batches import is_one, require_image_preprocessor, results_of_images

__all__ = ["DepthMap", "DepthPipeline"]


@dataclass(frozen=True, eq=False)
class DepthMap:
    """depth: (height, width) of the image, in metres; NaN for pixels that the model was not shown."""

    depth: NDArray[np.float32]

    @property
    def rows(self) -> list[tuple[str, str]]:
        """For people."""
        return [
            ("nearest", f"{np.nanmin(self.depth):.2f} m"),
            ("median", f"{np.nanmedian(self.depth):.2f} m"),
            ("farthest", f"{np.nanmax(self.depth):.2f} m"),
        ]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a .npy file."""
        np.save(path, self.depth)


class DepthPipeline:
    """An image, or several, to a DepthMap each."""

    file_suffixes: ClassVar[tuple[str, ...]] = (".npy",)

    def __init__(self, model: ComposedTaskModel, preprocessor: ImagePreprocessor | None) -> None:
        self.model = model
        self.preprocessor = require_image_preprocessor(
            preprocessor, "depth-estimation", '{"image_processor_type": "DPTImageProcessor"}', "resizes to 384 x 384"
        )

    def __call__(self, inputs: Any, *, batch_size: int = 8) -> DepthMap | list[DepthMap]:
        """What is taken by keyword is an option of `zoo run depth-estimation`."""
        if is_one(inputs):
            return next(self.iterate([inputs], batch_size=1))
        return list(self.iterate(inputs, batch_size=batch_size))

    def iterate(self, inputs: Iterable[ImageInput], *, batch_size: int = 8) -> Iterator[DepthMap]:
        """The results of many images, one by one."""
        for first, batch in batched(inputs, batch_size, "An image"):
            yield from results_of_images(batch, self.model, self.preprocessor, self._depths, first=first)

    def _depths(self, inputs: Mapping[str, Tensor], items: Sequence[ImageItem]) -> Iterator[DepthMap]:
        for depth in self.preprocessor.postprocess(self.model(inputs).depth.float(), items, fill=float("nan")):
            yield DepthMap(depth[0].cpu().numpy())
