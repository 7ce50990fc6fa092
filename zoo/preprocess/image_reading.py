"""Whatever a person has of an image, to RGB in 8 bits. Files come from strangers: what they can cost is bounded."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import Tensor

from zoo.checkpoint.regular_file import open_regular, read_up_to
from zoo.errors import CheckpointError, InvalidInput
from zoo.preprocess.image_geometry import MAX_PIXELS

__all__ = ["ImageInput", "is_one_image", "read_image"]

ImageInput = str | os.PathLike[str] | bytes | Image.Image | NDArray[Any] | Tensor
"""An image: a path, the bytes of a file, a Pillow image, an array or a tensor; see `read_image`."""

MAX_FILE_BYTES = 2**30

MAX_PATH = 4096
"""Characters; a longer text is no path, but perhaps the image itself in some encoding."""

# What photographs come in. Others of Pillow's readers start programs (EPS) or are rarely tested.
_FORMATS = ("AVIF", "BMP", "DIB", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")


def is_one_image(value: object) -> bool:
    """Whether this is an image by its type, and not several."""
    return isinstance(value, (str, os.PathLike, bytes, bytearray, memoryview, Image.Image)) or hasattr(value, "shape")


def read_image(value: Any, place: str, *, whiten: bool = False) -> Image.Image:
    """An RGB image, upright, of a path, the bytes of a file, a Pillow image, an array or a tensor; of an animation the
    first picture.

    Arrays are (height, width), (height, width, channels) or (channels, height, width) with 1, 3 or 4 channels, of 8 or
    16 bits, or floats from 0 to 1. Where both ends may be the channels, they are the last of an array and the first of
    a tensor, as is usual. Sixteen bits become eight by scale. whiten: put transparency on white instead of
    dropping it. place: what to call it in messages. Raises InvalidInput for what is no image, broken, or too large.
    """
    if isinstance(value, (str, os.PathLike)):
        path = _path(value, place)
        return _from_bytes(_contents(Path(path)), path, whiten)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return _from_bytes(bytes(value), place, whiten)
    if isinstance(value, Image.Image):
        with _refusing(place):
            return _upright_rgb(value, place, whiten)
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        with _refusing(place):
            return _to_rgb(_from_array(value, place), place, whiten)
    raise InvalidInput(
        f"{place} is a value of type {type(value).__name__}; a path, bytes, a Pillow image, an array or a tensor was "
        "expected."
    )


@cache
def _formats() -> tuple[str, ...]:
    """Those that this build of Pillow has."""
    Image.init()
    return tuple(name for name in _FORMATS if name in Image.OPEN)


def _path(value: str | os.PathLike[str], place: str) -> str:
    path: object = os.fspath(value)  # a class of somebody else's may give bytes
    if not isinstance(path, str) or not path:
        raise InvalidInput(f"{place} is {path!r}; a path was expected.")
    if len(path) > MAX_PATH:
        raise InvalidInput(f"{place} is a text of {len(path)} characters, {path[:32]!r}...; a path was expected.")
    if "://" in path:
        raise InvalidInput(f"{place} is {path!r}; a path was expected.", hint="Download it first.")
    return path


def _contents(path: Path) -> bytes:
    try:
        with open_regular(path) as (descriptor, size):
            if size > MAX_FILE_BYTES:
                raise InvalidInput(f"{path} is {size} bytes long; at most {MAX_FILE_BYTES} are read.")
            return read_up_to(descriptor, size, 0, path)
    except CheckpointError as error:
        raise InvalidInput(error.message, hint=error.hint) from error


def _from_bytes(content: bytes, place: str, whiten: bool) -> Image.Image:
    if not content:
        raise InvalidInput(f"{place} is empty: it has 0 bytes.")
    with _refusing(place):
        image = _opened(content)
        if image is None:
            raise InvalidInput(
                f"{place} is no image in a format that zoo reads ({', '.join(_formats())}); it begins with "
                f"{content[:12]!r}."
            )
        with image:
            return _upright_rgb(image, place, whiten)


def _opened(content: bytes) -> Image.Image | None:
    """As Image.open, which warns of large images, though: its warning can't be silenced for one thread alone."""
    for name in _formats():
        read, accepts = Image.OPEN[name]
        accepted = accepts is None or accepts(content[:16])
        if not accepted or isinstance(accepted, str):  # a text says why not
            continue
        try:
            return read(BytesIO(content), "")
        except (SyntaxError, IndexError, TypeError, struct.error):  # Pillow's readers say so that it is another format
            continue
    return None


@contextmanager
def _refusing(place: str) -> Iterator[None]:
    """What Pillow raises for a broken file, which may be anything, as InvalidInput."""
    try:
        yield
    except InvalidInput:
        raise
    except Image.DecompressionBombError as error:
        raise InvalidInput(f"{place} is too large: at most {MAX_PIXELS} pixels are read. ({error})") from error
    except Exception as error:
        raise InvalidInput(f"{place} can't be decoded: {str(error) or type(error).__name__}.") from error


def _upright_rgb(image: Image.Image, place: str, whiten: bool) -> Image.Image:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise InvalidInput(f"{place} has {width} x {height} pixels; at most {MAX_PIXELS} in all are read.")
    if not width * height:
        raise InvalidInput(f"{place} has no pixels: it is {width} x {height}.")
    image.load()
    if isinstance(image.info.get("transparency"), bytes):  # of a palette, which Pillow warns of
        image = image.convert("RGBA")
    return _to_rgb(ImageOps.exif_transpose(image), place, whiten)


def _to_rgb(image: Image.Image, place: str, whiten: bool) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":  # more than eight bits, which Pillow would cut off at 255
        image = _from_array(np.asarray(image), place)
    transparent = "A" in image.getbands() or "a" in image.getbands() or image.info.get("transparency") is not None
    if whiten and transparent:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, (255, 255, 255, 255)), image).convert("RGB")
    return image.convert("RGB")


def _from_array(value: Any, place: str) -> Image.Image:
    """An image of mode L, RGB or RGBA."""
    channels_first = hasattr(value, "detach")  # by habit
    if channels_first:
        value = (value.float() if value.is_floating_point() else value).numpy(force=True)
    array = np.asarray(value)
    if array.ndim == 2:
        array = array[..., None]
        channels_first = False
    if array.ndim != 3:
        hint = "Pass several images as a list of them." if array.ndim == 4 else None
        raise InvalidInput(
            f"{place} has {array.ndim} dimensions, {array.shape}; an image has 2 or 3: (height, width), (height, "
            "width, channels) or (channels, height, width).",
            hint=hint,
        )
    first, last = array.shape[0] in (1, 3, 4), array.shape[-1] in (1, 3, 4)
    if first and (channels_first or not last):
        array = np.moveaxis(array, 0, -1)
    elif not last:
        raise InvalidInput(f"{place} has the shape {array.shape}; 1, 3 or 4 channels, first or last, were expected.")
    if not array.size:
        raise InvalidInput(f"{place} has no pixels: its shape is {array.shape}.")
    return Image.fromarray(np.ascontiguousarray(_in_8_bits(array, place).squeeze(-1 if array.shape[-1] == 1 else ())))


def _in_8_bits(array: Any, place: str) -> Any:
    if array.dtype == np.uint8:
        return array
    if array.dtype == np.bool_:
        return array.astype(np.uint8) * 255
    if not (np.issubdtype(array.dtype, np.floating) or np.issubdtype(array.dtype, np.integer)):
        raise InvalidInput(f"{place} holds values of {array.dtype}; integers or floats were expected.")
    low, high = array.min(), array.max()
    if np.issubdtype(array.dtype, np.floating):
        if not np.isfinite([low, high]).all():
            raise InvalidInput(f"{place} holds values that are not finite (NaN or infinity).")
        if low < 0 or high > 1:
            raise InvalidInput(
                f"{place} holds floats from {float(low)!r} to {float(high)!r}; values from 0 to 1 were expected.",
                hint="Divide them by their largest possible value, or convert values from 0 to 255 to uint8.",
            )
        return np.round(array.astype(np.float32) * 255).astype(np.uint8)
    if low < 0 or high > 65535:
        raise InvalidInput(f"{place} holds integers from {low} to {high}; 8 or 16 bits were expected.")
    if high > 255 or (array.dtype.kind, array.dtype.itemsize) == ("u", 2):
        return ((array.astype(np.uint32) + 128) // 257).astype(np.uint8)
    return array.astype(np.uint8)
