"""What the pipeline returns: which class each pixel is of, and what there is of each class."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from zoo.checkpoint.whole_file import whole_file
from zoo.errors import InvalidInput, SaveError
from zoo.preprocess.image_reading import ImageInput, read_image
from zoo_segmentation.overlay import coloured, share_text, with_legend
from zoo_segmentation.palette import Palette, class_colours
from zoo_segmentation.rle import RLE

__all__ = ["FILE_SUFFIXES", "Segment", "Segmentation"]

FILE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp")
"""Of the files that pictures are saved in."""


@dataclass(frozen=True, slots=True)
class Segment:
    """All pixels of one class.

    score: the mean, over these pixels, of the class's probability. area: how many they are; share: of all pixels of
    the image. rle: which they are, in COCO's run lengths; `zoo_segmentation.rle.decode` makes a mask of it.
    """

    label: str
    id: int
    score: float
    area: int
    share: float
    rle: RLE


@dataclass(frozen=True, eq=False, repr=False)
class Segmentation:
    """The classes of one image's pixels.

    label_map: (height, width), the ids of the pixels' classes, in the original image's size; uint8, or uint16 or int32
    where there are more classes. `void`, the largest value of its type, stands where the model saw nothing, since the
    preprocessor crops. segments: of the classes that there are, the largest first. id2label: of all classes. image:
    what the pipeline was given, for the overlay; a path is read again when one is asked for.
    """

    label_map: NDArray[Any]
    segments: tuple[Segment, ...]
    id2label: Mapping[int, str]
    image: ImageInput = field(repr=False)

    @property
    def void(self) -> int:
        """The value of pixels that are of no class."""
        return int(np.iinfo(self.label_map.dtype).max)

    @property
    def rows(self) -> list[tuple[str, str]]:
        """For people: the labels with their shares of the pixels, and how many of them the model did not see."""
        rows = [(segment.label, share_text(segment.share)) for segment in self.segments]
        unseen = 1 - sum(segment.area for segment in self.segments) / max(self.label_map.size, 1)
        return [*rows, ("(cut away by the preprocessor)", share_text(unseen))] if unseen > 0 else rows

    def __repr__(self) -> str:
        height, width = self.label_map.shape
        shares = ", ".join(f"{label} {share}" for label, share in self.rows[:5])
        more = f", and {len(self.rows) - 5} more" if len(self.rows) > 5 else ""
        return f"Segmentation({height} x {width}: {shares}{more})"

    def to_json(self) -> dict[str, Any]:
        """The segments and the size, as JSON has them; the masks say what the label map says."""
        height, width = self.label_map.shape
        return {"height": height, "width": width, "segments": [asdict(segment) for segment in self.segments]}

    def overlay(self, alpha: float = 0.5, palette: Palette | None = None, legend: bool = True) -> Image.Image:
        """The image with its classes in colours.

        alpha: how much the colours hide, 0 to 1. palette: the colours of all classes in a list, or those of some by
        label or id; a colour is "teal", "#008080" or (0, 128, 128). legend: to the right of the image, which makes the
        picture wider. Raises InvalidInput when the image's file is no longer what it was.
        """
        colours = class_colours(palette, list(self.id2label.values()))
        image = self._image()
        picture = coloured(image, self.label_map, colours, alpha)
        if not legend:
            return picture
        shades = colours.tolist()
        return with_legend(picture, [(tuple(shades[each.id]), each.label, each.share) for each in self.segments])

    def label_image(self, palette: Palette | None = None) -> Image.Image:
        """The label map as an image whose values are the ids: with a palette of colours for up to 255 classes, in 16
        bits without one for more.
        """
        if self.label_map.dtype == np.uint16:
            return Image.fromarray(self.label_map)
        if self.label_map.dtype != np.uint8:
            raise SaveError(f"{len(self.id2label)} classes are more than the values of an image; use `label_map`.")
        image = Image.fromarray(self.label_map)
        colours = class_colours(palette, list(self.id2label.values()))
        image.putpalette(colours.tobytes().ljust(3 * 256, b"\0"))  # of a shorter one Pillow would write fewer bits
        return image

    def save(
        self,
        path: str | os.PathLike[str],
        *,
        overlay: bool = True,
        alpha: float = 0.5,
        palette: Palette | None = None,
        legend: bool = True,
    ) -> None:
        """Write a picture: the overlay or, with overlay=False, the label map as a PNG whose values are the ids.

        The ending of the path says the format. An earlier file of this name is replaced when the new one is complete.
        Raises SaveError for an ending that says no format, for a picture that is too large for its format, for a file
        that can't be written, and for that of the image itself, which is never replaced.
        """
        target = Path(path)
        suffixes = FILE_SUFFIXES if overlay else (".png",)
        if target.suffix.lower() not in suffixes:
            what = "a picture is" if overlay else "label maps are"
            raise SaveError(f"{target}: {what} saved in a file that ends in {', '.join(suffixes)}.")
        if isinstance(self.image, (str, os.PathLike)) and _same_file(target, Path(os.fsdecode(self.image))):
            raise SaveError(f"{target} is the image itself, which is not replaced.", hint="Save elsewhere.")
        picture = self.overlay(alpha, palette, legend) if overlay else self.label_image(palette)
        content = BytesIO()
        kind = Image.registered_extensions()[target.suffix.lower()]
        try:
            picture.save(content, kind)
        except (OSError, ValueError) as error:
            size = f"{picture.width} x {picture.height} pixels"
            raise SaveError(f"{target}: a picture of {size} can't be written as {kind}: {error}.") from error
        with whole_file(target) as file:
            file.write(content.getbuffer())

    def _image(self) -> Image.Image:
        """The image in RGB, as a new one."""
        image = read_image(self.image, "The image", whiten=True)
        height, width = self.label_map.shape
        if image.size != (width, height):
            raise InvalidInput(
                f"The image has {image.width} x {image.height} pixels now; it had {width} x {height} when it was "
                "segmented."
            )
        return image


def _same_file(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:  # one of them is not there
        return False
