"""The loss of semantic segmentation: cross-entropy over pixels."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.errors import InvalidInput
from zoo_segmentation.blocks import resize
from zoo_segmentation.config import SegmentationHeadConfig

__all__ = ["count_pixels", "pixel_loss", "require_target"]


def count_pixels(target: Tensor, ignore_index: int) -> Tensor:
    """How many pixels of a target have a label; int64, no dimensions."""
    return (target != ignore_index).sum()


def pixel_loss(logits: Tensor, target: Tensor, ignore_index: int, total: Tensor) -> Tensor:
    """The cross-entropy of all pixels that have a label, divided by `total`; where that is 0, so is the loss.

    logits: (batch, labels, h, w), resized bilinearly to the target's height and width. target: (batch, height, width).
    """
    precise = logits.to(torch.promote_types(logits.dtype, torch.float32))
    resized = resize(precise, target.shape[-2:])
    return F.cross_entropy(resized, target, ignore_index=ignore_index, reduction="sum") / total.clamp(min=1)


def require_target(logits: Tensor, target: Tensor, config: SegmentationHeadConfig) -> None:
    """Raise InvalidInput for a target that is not one label per pixel of as many images as there are logits for, and
    where a label's number says that a pixel has none.
    """
    if 0 <= config.ignore_index < len(config.labels):
        raise InvalidInput(
            f"target: pixels of the label {config.labels[config.ignore_index]!r} would not count, since its number is "
            f"the ignore_index, {config.ignore_index}.",
            hint="Train with another: `model.head.config = model.head.config.replace(ignore_index=-100)`.",
        )
    found = f"{tuple(target.shape)} of {str(target.dtype).removeprefix('torch.')}"
    if target.ndim != 3 or target.shape[0] != logits.shape[0] or 0 in target.shape:
        raise InvalidInput(f"target: expected labels of ({logits.shape[0]}, height, width), found {found}.")
    if target.dtype != torch.int64:
        raise InvalidInput(f"target: expected int64, found {found}. Convert it with `target.long()`.")
    if torch.compiler.is_compiling():
        return  # a compiled graph does not look at values
    outside = target[(target != config.ignore_index) & ((target < 0) | (target >= len(config.labels)))]
    if outside.numel():
        raise InvalidInput(
            f"target: expected labels from 0 to {len(config.labels) - 1}, or {config.ignore_index} for pixels that "
            f"don't count; found {outside[0].item()} in {outside.numel()} pixels."
        )
