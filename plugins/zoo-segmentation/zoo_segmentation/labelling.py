"""The class of each pixel, found band by band, and what there is of each class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from zoo.errors import InvalidInput
from zoo.preprocess.image_geometry import Size
from zoo.preprocess.image_reading import ImageInput
from zoo_segmentation.result import Segment, Segmentation
from zoo_segmentation.rle import encode_labels

__all__ = ["Labelling"]


class Labelling:
    """Takes the scores of an image's pixels in any parts, in any order, and keeps their classes."""

    def __init__(self, size: Size, labels: Sequence[str]) -> None:
        self.labels = labels
        kinds = (np.uint8, np.uint16, np.int32)
        # The largest value is no class's: it stands for "none".
        kind = next(kind for kind in kinds if len(labels) <= np.iinfo(kind).max)
        self.label_map = np.full(size, np.iinfo(kind).max, dtype=kind)
        self._areas = np.zeros(len(labels), dtype=np.int64)
        self._probabilities = np.zeros(len(labels))

    def add(self, row: int, column: int, logits: Tensor) -> None:
        """logits: (rows, columns, classes) from this row and column on, -inf for all classes where there are none.
        They are used up. Raises InvalidInput for scores that say nothing: NaN, or infinitely large.
        """
        top, labels = logits.max(dim=-1)
        if not bool((top < torch.inf).all()):  # nor is NaN
            raise InvalidInput(
                "The model gives scores that are NaN or infinite, which no class can be taken from.",
                hint="Numbers may have become too large for float16; load it with dtype='bfloat16' or 'float32'.",
            )
        probabilities = logits.sub_(top[..., None]).exp_().sum(dim=-1).reciprocal_()  # of the likeliest, by softmax
        seen = (top > -torch.inf).cpu().numpy()
        found, weights = labels.cpu().numpy(), probabilities.cpu().numpy()
        place = self.label_map[row : row + found.shape[0], column : column + found.shape[1]]
        place[seen] = found[seen]
        self._areas += np.bincount(found[seen], minlength=len(self.labels))
        self._probabilities += np.bincount(found[seen], weights[seen], minlength=len(self.labels))

    def result(self, image: ImageInput) -> Segmentation:
        """What was found in the image."""
        masks = encode_labels(self.label_map)
        present = sorted(np.flatnonzero(self._areas).tolist(), key=lambda index: -self._areas[index])
        return Segmentation(
            label_map=self.label_map,
            segments=tuple(
                Segment(
                    label=self.labels[index],
                    id=index,
                    score=float(self._probabilities[index] / self._areas[index]),
                    area=int(self._areas[index]),
                    share=float(self._areas[index] / self.label_map.size),
                    rle=masks[index],
                )
                for index in present
            ),
            id2label=dict(enumerate(self.labels)),
            image=image,
        )
