"""The steps of an image's way into a model, on numpy arrays: the reference's arithmetic to the last bit."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from zoo.errors import InvalidInput
from zoo.preprocess.image_geometry import MAX_PIXELS, Geometry, Size, Span
from zoo.preprocess.image_settings import ImageSettings

__all__ = ["Axis", "laid_back", "prepare", "value_table"]

Pixels = NDArray[np.float32]


def prepare(image: Image.Image, settings: ImageSettings, table: Pixels, place: str) -> tuple[Pixels, Geometry]:
    """An RGB image to (3, height, width), and where its pixels went. table: of `value_table`."""
    image, geometry = _resized(image, settings, place)
    pixels = np.asarray(image)
    if settings.crop is not None:
        rows, columns = geometry.rows.cropped(settings.crop[0]), geometry.columns.cropped(settings.crop[1])
        geometry = Geometry(rows=rows, columns=columns)
        _require_bounded(geometry.input, "cropping", place)
        pixels = _windowed(pixels, rows, columns)
    values = np.stack([table[channel][pixels[..., channel]] for channel in range(3)])
    margins = _margins(geometry, settings, place)
    if margins is None:
        return values, geometry
    padded = Geometry(rows=geometry.rows.padded(*margins[0]), columns=geometry.columns.padded(*margins[1]))
    _require_bounded(padded.input, "padding", place)
    return np.pad(values, ((0, 0), *margins)), padded


def value_table(settings: ImageSettings) -> Pixels:
    """(3, 256): what each 8-bit value of each channel becomes. Rescaled in double precision, normalised in single."""
    values = np.arange(256)
    if settings.rescale is not None:
        scaled = (values.astype(np.float64) * settings.rescale).astype(np.float32)
    else:
        scaled = values.astype(np.float32)
    table = np.repeat(scaled[None], 3, axis=0)
    if settings.normalise is not None:
        mean, std = (np.array(values, dtype=np.float32)[:, None] for values in settings.normalise)
        table = (table - mean) / std
    return table


def _resized(image: Image.Image, settings: ImageSettings, place: str) -> tuple[Image.Image, Geometry]:
    original = (image.height, image.width)
    target = original if settings.resize is None else settings.resize.target(original)
    if min(target) < 1 or target[0] * target[1] > MAX_PIXELS:
        raise InvalidInput(
            f"{place}: resizing would make {target[0]} x {target[1]} (height x width) of {original[0]} x {original[1]} "
            f"pixels; from 1 to {MAX_PIXELS} in all are possible. The image is too narrow for these settings."
        )
    if settings.resize is not None:
        image = image.resize((target[1], target[0]), resample=Image.Resampling(settings.resample))
    rows, columns = Span.of(original[0], target[0]), Span.of(original[1], target[1])
    return image, Geometry(rows=rows, columns=columns)


def _require_bounded(size: Size, step: str, place: str) -> None:
    """Settings come from strangers, too."""
    if size[0] * size[1] > MAX_PIXELS:
        raise InvalidInput(
            f"{place}: {step} would make {size[0]} x {size[1]} pixels (height x width); "
            f"at most {MAX_PIXELS} in all are possible. These settings are of no use."
        )


def _windowed(pixels: NDArray[np.uint8], rows: Span, columns: Span) -> NDArray[np.uint8]:
    """(height, width, channels) seen through a window, with zeros where it looks past the image."""
    window = np.zeros((rows.length, columns.length, pixels.shape[2]), dtype=np.uint8)
    window[rows.first : rows.last, columns.first : columns.last] = pixels[
        rows.first + rows.offset : rows.last + rows.offset,
        columns.first + columns.offset : columns.last + columns.offset,
    ]
    return window


Margins = tuple[tuple[int, int], tuple[int, int]]


def _margins(geometry: Geometry, settings: ImageSettings, place: str) -> Margins | None:
    """How many zeros come before and after the rows and the columns."""
    height, width = geometry.input
    if settings.pad is not None:
        below, right = settings.pad[0] - height, settings.pad[1] - width
        if below < 0 or right < 0:
            raise InvalidInput(
                f"{place} is {height} x {width} when it is to be padded to {settings.pad[0]} x {settings.pad[1]} "
                "(height x width), which is less."
            )
        return (0, below), (0, right)
    if settings.pad_multiple is not None:
        rows, columns = (-length % settings.pad_multiple for length in (height, width))
        return (rows // 2, rows - rows // 2), (columns // 2, columns - columns // 2)
    return None


def laid_back(maps: Tensor, geometry: Geometry, fill: float) -> Tensor:
    """(..., height, width) of the model's input, at any stride, as (..., height, width) of the original.

    Floats are interpolated between the centres of positions, integers taken from the nearest. fill: where the model
    saw nothing.
    """
    rows, columns = (
        Axis(geometry.rows, maps.shape[-2], maps.device),
        Axis(geometry.columns, maps.shape[-1], maps.device),
    )
    if not maps.is_floating_point():
        result = maps[..., rows.nearest, :][..., columns.nearest]
    else:
        weight = rows.weight.to(maps.dtype)[:, None]
        across = maps[..., rows.lower, :] * (1 - weight) + maps[..., rows.upper, :] * weight
        weight = columns.weight.to(maps.dtype)
        result = across[..., columns.lower] * (1 - weight) + across[..., columns.upper] * weight
    if geometry.is_whole:
        return result
    seen = rows.seen[:, None] & columns.seen
    return result.masked_fill(~seen, fill)


class Axis:
    """For each pixel of the original along one axis: between which positions of a map it lies, and how far."""

    def __init__(self, span: Span, positions: int, device: torch.device) -> None:
        pixels = torch.arange(span.original, dtype=torch.float64) + 0.5  # not every device has this precision
        place = pixels * (span.resized / span.original) - span.offset  # in the model's input, pixels' edges whole
        self.seen = ((place >= span.first) & (place <= span.last)).to(device)
        place = place.clamp(span.first, span.last) * (positions / span.length) - 0.5
        place = place.clamp(0, positions - 1)
        lower = place.floor().long()
        self.lower = lower.to(device)
        self.upper = (lower + 1).clamp(max=positions - 1).to(device)
        self.weight = (place - lower).float().to(device)
        self.nearest = (place + 0.5).floor().long().clamp(max=positions - 1).to(device)
