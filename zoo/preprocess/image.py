"""The image preprocessor: whatever a person has of an image to a model's input, and maps back to the image's pixels."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from zoo.checkpoint.files import ModelFiles, read_json
from zoo.errors import InvalidInput, MalformedCheckpoint, PreprocessorError
from zoo.preprocess.image_bands import laid_back_bands
from zoo.preprocess.image_geometry import Geometry, Size
from zoo.preprocess.image_reading import ImageInput, is_one_image, read_image
from zoo.preprocess.image_settings import IMAGE_FILE, ImageSettings, read_image_settings
from zoo.preprocess.image_targets import aligned_labels
from zoo.preprocess.image_transforms import laid_back, prepare, value_table

__all__ = ["ImageItem", "ImagePreprocessor"]


@dataclass(frozen=True, eq=False)
class ImageItem:
    """An image, ready to be collated. pixel_values: (3, height, width). geometry: where its pixels went."""

    pixel_values: NDArray[np.float32]
    geometry: Geometry

    @property
    def original_size(self) -> Size:
        """Height and width of the image as a person sees it."""
        return self.geometry.original


class ImagePreprocessor:
    """Reads, resizes, crops, scales, normalises and pads images as a preprocessor_config.json says.

    For the same file and an upright RGB image of 8 bits, values are those of transformers' processors on Pillow, to the
    last bit. `files` gives back the file that was read, byte for byte.
    """

    def __init__(self, settings: ImageSettings, contents: bytes) -> None:
        self.settings = settings
        self._contents = contents
        self._table = value_table(settings)

    @classmethod
    def from_files(cls, files: ModelFiles, config: Mapping[str, Any]) -> Self | None:
        """Build from preprocessor_config.json; None when there is none. Raises PreprocessorError naming the field."""
        contents = files.read(IMAGE_FILE)
        if contents is None:
            return None
        try:
            values = read_json(files, IMAGE_FILE) or {}
        except MalformedCheckpoint as error:
            raise PreprocessorError(error.message, hint=error.hint) from error
        return cls(read_image_settings(values, f"{files.location}: {IMAGE_FILE}"), contents)

    @classmethod
    def from_config(cls, values: Mapping[str, Any]) -> Self:
        """Build from the contents of a preprocessor_config.json, e.g. {"image_processor_type": "ViTImageProcessor"}."""
        contents = json.dumps(dict(values), indent=2, sort_keys=True, ensure_ascii=False) + "\n"
        return cls(read_image_settings(values, IMAGE_FILE), contents.encode())

    def __call__(self, items: Sequence[ImageInput], *, first: int = 0) -> list[ImageItem]:
        """Images to items. Each is a path, the bytes of a file, a Pillow image, an array or a tensor.

        first: the number of the first one, for messages. Raises InvalidInput naming the image that can't be used.
        """
        if is_one_image(items):
            raise InvalidInput(f"A list of images was expected; found one {type(items).__name__}. Put it in a list.")
        return [self._item(item, f"items[{index}]") for index, item in enumerate(items, first)]

    def _item(self, value: ImageInput, place: str) -> ImageItem:
        image = read_image(value, place, whiten=self.settings.whiten)
        return ImageItem(*prepare(image, self.settings, self._table, place))

    def collate(self, items: Sequence[ImageItem]) -> dict[str, Tensor]:
        """`pixel_values` (batch, 3, height, width) of images of one size; `batches` puts those together."""
        if not items:
            raise InvalidInput("There are no items to collate.")
        sizes = sorted({item.geometry.input for item in items})
        if len(sizes) > 1:
            listing = ", ".join(f"{height} x {width}" for height, width in sizes)
            raise InvalidInput(
                f"Images of one size were expected; after preprocessing these are of {listing} (height x width).",
                hint="Collate each list of indices of `preprocessor.batches(items)` by itself.",
            )
        return {"pixel_values": torch.from_numpy(np.stack([item.pixel_values for item in items]))}

    def batches(self, items: Sequence[ImageItem]) -> list[list[int]]:
        """The indices of items that are of one size, in the order in which the sizes come first."""
        groups: dict[Size, list[int]] = {}
        for index, item in enumerate(items):
            groups.setdefault(item.geometry.input, []).append(index)
        return list(groups.values())

    def postprocess(self, output: Any, items: Sequence[ImageItem], *, fill: float = 0) -> list[Tensor]:
        """Maps over the model's input, (batch, channels, height, width) at any stride or one (channels, height, width)
        per item, as (channels, height, width) over the pixels of each original.

        Floats are interpolated, integers taken from the nearest. fill: where the model saw nothing, since it was cut
        away.
        """
        maps = list(output)
        if len(maps) != len(items):
            raise InvalidInput(f"There are {len(maps)} outputs for {len(items)} items.")
        return [laid_back(values, item.geometry, fill) for values, item in zip(maps, items, strict=True)]

    def bands(self, maps: Tensor, item: ImageItem, *, fill: float = 0) -> Iterator[tuple[int, Tensor]]:
        """What `postprocess` gives for one item, from top to bottom, in memory that does not grow with the image: the
        number of the first row, and (rows, width, channels). maps: (channels, height, width), floats.
        """
        return laid_back_bands(maps, item.geometry, fill)

    def at_own_scale(self) -> Self:
        """The same but without resizing, cropping and padding: for parts of an image."""
        steps = ("do_resize", "do_center_crop", "do_pad")
        return self.from_config(json.loads(self._contents) | dict.fromkeys(steps, False))

    def targets(self, label_maps: Sequence[Any], items: Sequence[ImageItem], *, ignore_index: int = 255) -> Tensor:
        """The target of training for items of one size: (batch, height, width) of the model's input, int64.

        label_maps: the label of each pixel of each item's image, as an array, a tensor or a Pillow image whose values
        are the ids. They are resized, cropped and padded as the images were; ignore_index stands where an image was
        padded. Raises InvalidInput naming the one that does not fit.
        """
        if len(label_maps) != len(items) or not items:
            raise InvalidInput(f"As many label maps as items were expected: {len(items)}; found {len(label_maps)}.")
        aligned = [
            aligned_labels(each, item.geometry, ignore_index, f"label_maps[{index}]")
            for index, (each, item) in enumerate(zip(label_maps, items, strict=True))
        ]
        if len({each.shape for each in aligned}) > 1:
            raise InvalidInput("Items of one size were expected; see `batches`.")
        return torch.stack(aligned)

    def files(self) -> dict[str, bytes]:
        """The file to save beside the weights, as it was read."""
        return {IMAGE_FILE: self._contents}

    def __repr__(self) -> str:
        return f"ImagePreprocessor({self.settings!r})"
