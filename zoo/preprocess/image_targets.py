"""Label maps beside images, brought to where the images' pixels went, for training."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from zoo.errors import InvalidInput
from zoo.preprocess.image_geometry import Geometry, Span

__all__ = ["aligned_labels"]


def aligned_labels(label_map: Any, geometry: Geometry, ignore_index: int, place: str) -> Tensor:
    """(height, width) of the model's input, int64, of a label map over the image: an array, a tensor, or a Pillow image
    whose values are the ids.

    Each position gets the label of the pixel that lies under its middle; ignore_index where the image is padded. place:
    what it is called in messages. Raises InvalidInput for what is no label map of that image's size.
    """
    labels = label_map if isinstance(label_map, Tensor) else torch.from_numpy(np.array(label_map))
    if labels.is_floating_point() or labels.is_complex() or tuple(labels.shape) != geometry.original:
        height, width = geometry.original
        raise InvalidInput(
            f"{place}: a label map of integers of shape ({height}, {width}) was expected, as the image has after the "
            f"rotation that its camera noted; found {labels.dtype} of shape {tuple(labels.shape)}."
        )
    rows, columns = _sources(geometry.rows), _sources(geometry.columns)
    taken = labels.long().cpu()[rows.clamp(min=0)][:, columns.clamp(min=0)]
    return taken.masked_fill((rows < 0)[:, None] | (columns < 0), ignore_index)


def _sources(span: Span) -> Tensor:
    """(length,): for each position of the input along an axis, which pixel of the original it shows; -1 for none."""
    position = torch.arange(span.length)
    middle = (2 * (position + span.offset) + 1) * span.original  # in halves of a position, so that it is a whole number
    pixel = (middle // (2 * span.resized)).clamp(0, span.original - 1)
    return pixel.masked_fill((position < span.first) | (position >= span.last), -1)
