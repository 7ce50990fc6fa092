"""The pipeline of image segmentation: images to the classes of their pixels."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, overload

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from zoo.errors import InvalidInput
from zoo.interfaces.shown import shown
from zoo.interfaces.task_model import ComposedTaskModel
from zoo.preprocess.image import ImageItem, ImagePreprocessor
from zoo.preprocess.image_geometry import Size
from zoo.preprocess.image_reading import ImageInput, read_image
from zoo.tasks.batching import batched
from zoo.tasks.counts import require_count
from zoo.tasks.image_batches import is_one, model_inputs, require_image_preprocessor, results_of_images
from zoo_segmentation.labelling import Labelling
from zoo_segmentation.result import FILE_SUFFIXES, Segmentation
from zoo_segmentation.sliding_window import Blend, Place, Tiling, blended, overlap_pixels, window_size

__all__ = ["ImageSegmentationPipeline", "Window"]

Window = int | tuple[int, int]
"""The size of windows in pixels: height and width, or one number for both."""

SCORE_BYTES = 2**29
"""Of the scores of the windows that are computed at a time, or of one window where that is more."""


class ImageSegmentationPipeline:
    """Images to the classes of their pixels: a label map in the image's size and, for each class that there is, its
    score, area and mask.

    An image is a path, the bytes of a file, a Pillow image, an array or a tensor; see `zoo.preprocess.image_reading`.

    By default an image is resized as the preprocessor says, and the scores are laid back over its pixels. With
    `window` it is not: windows of this size are cut from the image as it is, in its own scale, and the scores of those
    that overlap are blended. So details are kept that resizing would lose, of things that look larger to the model.
    """

    file_suffixes: ClassVar[tuple[str, ...]] = FILE_SUFFIXES
    """What `Segmentation.save` writes."""

    def __init__(self, model: ComposedTaskModel, preprocessor: ImagePreprocessor | None) -> None:
        self.model = model
        self.preprocessor = require_image_preprocessor(
            preprocessor,
            "image-segmentation",
            '{"image_processor_type": "SegformerImageProcessor"}',
            "resizes to 512 x 512 and normalises as UperNet was trained, by the mean and deviation of ImageNet",
        )

    @property
    def labels(self) -> tuple[str, ...]:
        """Of all classes, in the order of their ids."""
        labels: tuple[str, ...] = self.model.head.config.labels
        return labels

    @overload
    def __call__(  # type: ignore[overload-overlap]  # a str, an array and a tensor are iterable, too
        self,
        inputs: ImageInput,
        *,
        window: Window | None = None,
        overlap: float | int = 0.5,
        blend: Blend = "gaussian",
        batch_size: int = 8,
    ) -> Segmentation: ...
    @overload
    def __call__(
        self,
        inputs: Iterable[ImageInput],
        *,
        window: Window | None = None,
        overlap: float | int = 0.5,
        blend: Blend = "gaussian",
        batch_size: int = 8,
    ) -> list[Segmentation]: ...
    def __call__(
        self,
        inputs: ImageInput | Iterable[ImageInput],
        *,
        window: Window | None = None,
        overlap: float | int = 0.5,
        blend: Blend = "gaussian",
        batch_size: int = 8,
    ) -> Segmentation | list[Segmentation]:
        """One image gives its Segmentation; several, in batches, a list of them.

        window: see the class; one that is larger than the image is the image. overlap: of neighbouring windows, at
        least: a part of a window, or an int of pixels. blend: "gaussian" trusts the middle of a window more than its
        edges, "uniform" does not. batch_size: images at a time or, with `window`, windows; fewer where their scores
        would take more than half a gigabyte.
        """
        one = is_one(inputs)
        several: Iterable[Any] = [inputs] if one else inputs  # type: ignore[assignment]
        results = self.iterate(several, window=window, overlap=overlap, blend=blend, batch_size=batch_size)
        return next(results) if one else list(results)

    def iterate(
        self,
        inputs: Iterable[ImageInput],
        *,
        window: Window | None = None,
        overlap: float | int = 0.5,
        blend: Blend = "gaussian",
        batch_size: int = 8,
    ) -> Iterator[Segmentation]:
        """The results of many images, one by one, with one batch of them in memory."""
        self.check_settings(window=window, overlap=overlap, blend=blend, batch_size=batch_size)
        for first, batch in batched(inputs, batch_size if window is None else 1, "An image"):
            if window is None:
                labellings = results_of_images(batch, self.model, self.preprocessor, self._labelled, first=first)
            else:
                size = window_size(window)
                labellings = (self._by_windows(each, first, size, overlap, blend, batch_size) for each in batch)
            for image, labelling in zip(batch, labellings, strict=True):
                yield labelling.result(_kept(image))

    def check_settings(
        self,
        *,
        window: object = None,
        overlap: object = 0.5,
        blend: object = "gaussian",
        batch_size: object = 8,
    ) -> None:
        """Raise InvalidInput for settings that a call would refuse whatever the images are."""
        require_count("batch_size", batch_size)
        overlap_pixels(overlap, sys.maxsize if window is None else min(window_size(window)))
        if blend not in ("gaussian", "uniform"):
            raise InvalidInput(f"blend: 'gaussian' or 'uniform' was expected, found {shown(blend)}.")
        if window is None and (overlap, blend) != (0.5, "gaussian"):
            raise InvalidInput("overlap and blend are settings of windows; give window=512, for example, with them.")

    def _labelled(self, inputs: Mapping[str, Tensor], items: Sequence[ImageItem]) -> Iterator[Labelling]:
        for item, logits in zip(items, self.model(inputs).logits, strict=True):
            labelling = Labelling(item.original_size, self.labels)
            for row, band in self.preprocessor.bands(logits, item, fill=-torch.inf):
                labelling.add(row, 0, band)
            yield labelling

    def _by_windows(
        self, image: ImageInput, index: int, window: Size, overlap: float | int, blend: Blend, batch_size: int
    ) -> Labelling:
        """index: of the image among all, for messages."""
        picture = read_image(image, f"items[{index}]", whiten=self.preprocessor.settings.whiten)
        tiling = Tiling.over((picture.height, picture.width), window, overlap)
        classes = len(self.labels)
        affordable = SCORE_BYTES // (4 * classes * tiling.window[0] * tiling.window[1])
        labelling = Labelling(tiling.image, self.labels)
        preprocessor = self.preprocessor.at_own_scale()

        def compute(places: Sequence[Place]) -> Tensor:
            return self._scores(preprocessor, picture, places, tiling.window)

        with torch.inference_mode():
            for row, column, logits in blended(
                tiling,
                compute,
                classes=classes,
                blend=blend,
                at_a_time=max(1, min(batch_size, affordable)),
                device=next(self.model.parameters()).device,
            ):
                labelling.add(row, column, logits)
        return labelling

    def _scores(
        self, preprocessor: ImagePreprocessor, picture: Image.Image, places: Sequence[Place], size: Size
    ) -> Tensor:
        """(windows, classes, height, width), in single precision."""
        height, width = size
        items = preprocessor([picture.crop((left, top, left + width, top + height)) for top, left in places])
        inputs = model_inputs(self.model, preprocessor, items)
        patch = self._patch()
        down, across = -height % patch, -width % patch
        if down or across:
            inputs["pixel_values"] = F.pad(inputs["pixel_values"], (0, across, 0, down), mode="replicate")
        logits = self.model(inputs).logits.float()
        whole = (height + down, width + across)
        if logits.shape[-2:] != whole:
            logits = F.interpolate(
                logits.contiguous(memory_format=torch.channels_last), whole, mode="bilinear", align_corners=False
            )
        scores: Tensor = logits[:, :, :height, :width]
        return scores

    def _patch(self) -> int:
        """What a side has to be a multiple of: models of tokens see nothing beside whole patches."""
        specs = self.model.backbone.config.feature_specs()
        return next((spec.stride for spec in specs if spec.kind == "tokens" and spec.stride is not None), 1)


def _kept(image: ImageInput) -> ImageInput:
    """What a result keeps: a path that leads to the same file wherever the process goes, anything else as it is."""
    return os.path.abspath(os.fspath(image)) if isinstance(image, (str, os.PathLike)) else image
