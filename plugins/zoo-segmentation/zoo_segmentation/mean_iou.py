"""Mean intersection over union, accumulated over any number of batches in constant memory."""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.errors import InvalidInput
from zoo.tasks.counts import require_count
from zoo_segmentation.blocks import resize

__all__ = ["MeanIoU"]

MAX_LABELS = 10_000
"""The matrix has the square of it in 64-bit integers, 0.8 GB."""


class MeanIoU:
    """How well label maps agree with their targets, from one confusion matrix over all pixels (Long et al., 2015).

    For each label: the pixels that both give it, of those that either does. The mean is over the labels that occur at
    all, in a prediction or a target. Pixels whose target is `ignore_index` don't count.
    """

    def __init__(self, num_labels: int, *, ignore_index: int = 255) -> None:
        require_count("num_labels", num_labels)
        if num_labels > MAX_LABELS:
            raise InvalidInput(f"num_labels: at most {MAX_LABELS} were expected, found {num_labels}.")
        if 0 <= ignore_index < num_labels:
            raise InvalidInput(f"ignore_index: none of the labels, 0 to {num_labels - 1}, was expected.")
        self.num_labels = num_labels
        self.ignore_index = ignore_index
        self.confusion = torch.zeros(num_labels, num_labels, dtype=torch.int64)
        """(labels, labels): how many pixels of the row's label were given the column's."""

    def update(self, prediction: Tensor, target: Tensor) -> None:
        """prediction: a label map, (batch, height, width) integers, or logits, (batch, labels, h, w) floating-point,
        which are resized to the target as the loss does. target: (batch, height, width) integers.
        """
        self._require(prediction, target)
        for predicted, true in zip(prediction, target, strict=True):  # resized logits are large, so one image at a time
            labels = self._labels(predicted, true.shape) if prediction.is_floating_point() else predicted
            self._count(labels.long(), true.long())

    def merge(self, other: MeanIoU) -> None:
        """Add what another one, of the same labels, has seen; for results of several processes."""
        if (other.num_labels, other.ignore_index) != (self.num_labels, self.ignore_index):
            raise InvalidInput(
                f"Metrics of one set of labels were expected, found {self.num_labels} labels without "
                f"{self.ignore_index}, and {other.num_labels} without {other.ignore_index}."
            )
        self.confusion += other.confusion

    def compute(self) -> dict[str, float]:
        """{"mean_iou": 0.4, "pixel_accuracy": 0.8, "mean_accuracy": 0.5}: the accuracies are the share of right pixels,
        of all and in the mean over the labels of targets. Raises InvalidInput when no pixel was counted.
        """
        total, right = int(self.confusion.sum()), self.confusion.diagonal().double()
        if not total:
            raise InvalidInput("There is no mean IoU yet: `update` was not called with any pixel that has a label.")
        true = self.confusion.sum(dim=1)
        return {
            "mean_iou": float(self.iou().nanmean()),
            "pixel_accuracy": float(right.sum()) / total,
            "mean_accuracy": float((right / true).nanmean()),
        }

    def iou(self) -> Tensor:
        """(labels,) float64: of each label; NaN for those that occur in no prediction and no target."""
        right = self.confusion.diagonal()
        return right.double() / (self.confusion.sum(dim=0) + self.confusion.sum(dim=1) - right)

    def _labels(self, logits: Tensor, size: torch.Size) -> Tensor:
        """(labels, h, w) to the likeliest label of each pixel."""
        precise = logits.to(torch.promote_types(logits.dtype, torch.float32))
        if precise.isnan().any():
            raise InvalidInput("prediction: there are logits that are NaN, of which none is the largest.")
        return resize(precise[None], size)[0].argmax(dim=0)

    def _count(self, predicted: Tensor, true: Tensor) -> None:
        counted = true != self.ignore_index
        predicted, true = predicted[counted], true[counted]
        for name, labels in (("prediction", predicted), ("target", true)):
            if labels.numel() and not 0 <= int(labels.min()) <= int(labels.max()) < self.num_labels:
                raise InvalidInput(
                    f"{name}: labels from 0 to {self.num_labels - 1} were expected, found {int(labels.min())} to "
                    f"{int(labels.max())}."
                )
        cells = torch.bincount(true * self.num_labels + predicted, minlength=self.num_labels**2)
        self.confusion += cells.view(self.num_labels, self.num_labels).cpu()

    def _require(self, prediction: Tensor, target: Tensor) -> None:
        if target.ndim != 3 or target.is_floating_point() or target.is_complex() or target.dtype == torch.bool:
            raise InvalidInput(f"target: expected integers of (batch, height, width), found {_described(target)}.")
        if prediction.is_floating_point():
            fits = prediction.ndim == 4 and prediction.shape[:2] == (target.shape[0], self.num_labels)
            expected = f"logits of ({target.shape[0]}, {self.num_labels}, h, w)"
        else:
            fits = prediction.shape == target.shape and prediction.dtype != torch.bool
            expected = f"a label map of {tuple(target.shape)}"
        if not fits:
            raise InvalidInput(f"prediction: expected {expected}, found {_described(prediction)}.")


def _described(tensor: Tensor) -> str:
    return f"{tuple(tensor.shape)} of {str(tensor.dtype).removeprefix('torch.')}"
