"""Maps over the model's input, laid over the original's pixels a few rows at a time: 150 classes of a photograph of
4,000 x 3,000 pixels would be 7 GB at once.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from zoo.preprocess.image_geometry import Geometry
from zoo.preprocess.image_transforms import Axis

__all__ = ["BAND_BYTES", "laid_back_bands"]

BAND_BYTES = 2**22
"""What a band takes, or a single row where that is more. What fits into a core's cache is also the fastest."""


def laid_back_bands(maps: Tensor, geometry: Geometry, fill: float) -> Iterator[tuple[int, Tensor]]:
    """The rows of `laid_back(maps, geometry, fill)` from top to bottom: the number of the first one, and
    (rows, width, channels) in single precision.

    The channels come last, where a pixel's are neighbours in memory: that is several times as fast for many of them.
    maps: (channels, height, width), floats.
    """
    last = maps.permute(1, 2, 0).float().contiguous()
    columns = Axis(geometry.columns, maps.shape[2], maps.device)
    rows = Axis(geometry.rows, maps.shape[1], maps.device)
    right = columns.weight.to(last.dtype)[:, None]
    height, width = geometry.original
    step = max(1, BAND_BYTES // (4 * width * maps.shape[0]))
    for first in range(0, height, step):
        band = slice(first, first + step)
        below = rows.weight[band].to(last.dtype)[:, None, None]
        across = torch.lerp(last[rows.lower[band]], last[rows.upper[band]], below)
        values = torch.lerp(across.index_select(1, columns.lower), across.index_select(1, columns.upper), right)
        if not geometry.is_whole:
            values.masked_fill_(~(rows.seen[band, None] & columns.seen)[..., None], fill)
        yield first, values
