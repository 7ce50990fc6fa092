"""Images larger than a model's: windows that overlap, their scores blended, in memory that the image's size does not
decide.

Windows are computed row by row. A band as high as a window holds the weighted sums of scores; when the next row of
windows begins, the rows above it are final and leave the band. Where the band would be larger than BAND_BYTES, the
image is done in strips of columns, one after the other, and windows over a strip's edge are computed for both.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor

from zoo.errors import InvalidInput
from zoo.interfaces.shown import shown
from zoo.preprocess.image_bands import BAND_BYTES as PART_BYTES
from zoo.preprocess.image_geometry import Size

__all__ = ["BAND_BYTES", "Blend", "Place", "Tiling", "blended", "overlap_pixels", "window_size"]

BAND_BYTES = 2**30
"""Of the sums of scores, or as much as one window's scores take where that is more."""

Blend = Literal["gaussian", "uniform"]
"""How much each pixel of a window counts: less towards its edges, where the model sees less around it, or all alike."""

Place = tuple[int, int]
"""The row and column of a window's upper left corner."""

_SIGMA = 1 / 8  # of a window's length: as nnU-Net has it (Isensee et al., 2021)


def window_size(window: object) -> Size:
    """Height and width of the windows: two numbers, or one for both."""
    pair = (window, window) if type(window) is int else window
    if not isinstance(pair, Sequence) or len(pair) != 2 or not all(type(each) is int and each > 0 for each in pair):
        raise InvalidInput(f"window: a number of pixels, or height and width, were expected, found {shown(window)}.")
    return pair[0], pair[1]


def overlap_pixels(overlap: object, length: int) -> int:
    """By how many pixels, at least, windows of this length overlap: a part of it below 1, or a number of pixels, which
    is below the length.
    """
    if type(overlap) is float and 0 <= overlap < 1:
        return min(round(overlap * length), length - 1)
    if type(overlap) is int and 0 <= overlap < length:
        return overlap
    raise InvalidInput(
        "overlap: a part of the window from 0.0 to below 1.0, or a number of pixels below its height and width, was "
        f"expected, found {shown(overlap)}."
    )


@dataclass(frozen=True, kw_only=True)
class Tiling:
    """Where the windows over an image are: a grid, evenly spaced, that ends where the image ends.

    window: their size, which is never more than the image's. tops, lefts: their first rows and columns.
    """

    image: Size
    window: Size
    tops: tuple[int, ...]
    lefts: tuple[int, ...]

    @classmethod
    def over(cls, image: Size, window: Size, overlap: float | int) -> Tiling:
        """Windows that overlap by so much or a little more. In a direction in which a window is larger than the image,
        there is one, of the image's length.
        """
        return cls(
            image=image,
            window=(min(window[0], image[0]), min(window[1], image[1])),
            tops=_firsts(image[0], window[0], overlap_pixels(overlap, window[0])),
            lefts=_firsts(image[1], window[1], overlap_pixels(overlap, window[1])),
        )


def _firsts(length: int, window: int, overlap: int) -> tuple[int, ...]:
    if length <= window:
        return (0,)
    steps = math.ceil((length - window) / (window - overlap))
    return tuple(index * (length - window) // steps for index in range(steps + 1))


def blended(
    tiling: Tiling,
    compute: Callable[[Sequence[Place]], Tensor],
    *,
    classes: int,
    blend: Blend,
    at_a_time: int,
    device: torch.device,
) -> Iterator[tuple[int, int, Tensor]]:
    """The scores of all pixels, in parts: row and column of the first pixel, and (rows, columns, classes).

    compute: places of windows, at most `at_a_time`, to their scores (windows, classes, height, width) in single
    precision. A pixel's score is the mean of those of the windows over it, each weighted by where in it the pixel is.
    """
    rows = _Axis.of(tiling.image[0], tiling.window[0], tiling.tops, blend, device)
    columns = _Axis.of(tiling.image[1], tiling.window[1], tiling.lefts, blend, device)
    weights = (rows.weights[:, None] * columns.weights)[..., None]
    height, width = tiling.window
    for first, last in _strips(tiling, classes):
        # The row r of the image is the row r % height of the band.
        band = torch.zeros(height, last - first, classes, device=device)
        over = [left for left in tiling.lefts if left < last and left + width > first]
        for top, end in zip(tiling.tops, (*tiling.tops[1:], tiling.image[0]), strict=True):
            for number in range(0, len(over), at_a_time):
                lefts = over[number : number + at_a_time]
                for left, scores in zip(lefts, compute([(top, left) for left in lefts]), strict=True):
                    inner = slice(max(first - left, 0), min(last - left, width))
                    part, weight = scores.permute(1, 2, 0)[:, inner], weights[:, inner]
                    place = band[:, max(left - first, 0) : left - first + inner.stop]
                    turn = height - top % height  # the row of the window that is the band's row 0
                    place[height - turn :].addcmul_(part[:turn], weight[:turn])
                    place[: height - turn].addcmul_(part[turn:], weight[turn:])
            totals = columns.totals[first:last, None]
            step = max(1, PART_BYTES // (4 * classes * (last - first)))
            for row in range(top, end, step):
                done = torch.arange(row, min(row + step, end), device=device)
                yield row, first, band[done % height] / (rows.totals[done, None, None] * totals)
            band[torch.arange(top, end, device=device) % height] = 0


@dataclass(frozen=True)
class _Axis:
    """weights: (window,), of a window's pixels along one axis. totals: (length,), of all windows over a pixel."""

    weights: Tensor
    totals: Tensor

    @classmethod
    def of(cls, length: int, window: int, firsts: Sequence[int], blend: Blend, device: torch.device) -> _Axis:
        weights = torch.ones(window, device=device)
        if blend == "gaussian":
            from_middle = torch.arange(window, device=device) - (window - 1) / 2
            weights = torch.exp(-0.5 * (from_middle / (window * _SIGMA)) ** 2)
        totals = torch.zeros(length, device=device)
        for first in firsts:
            totals[first : first + window] += weights
        return cls(weights, totals)


def _strips(tiling: Tiling, classes: int) -> list[tuple[int, int]]:
    """Columns, the last excluded, whose band is small enough."""
    height, width = tiling.window
    most = max(BAND_BYTES // (4 * classes * height), width)
    count = math.ceil(tiling.image[1] / most)
    bounds = [index * tiling.image[1] // count for index in range(count + 1)]
    return list(pairwise(bounds))
