"""What heads for semantic segmentation return."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from zoo.interfaces.pytree import register_pytree

__all__ = ["SegmentationOutput"]


@register_pytree()
@dataclass
class SegmentationOutput:
    """logits: (batch, labels, height / stride, width / stride), of the finest map that the head was given, not of the
    pixels. auxiliary_logits: of a second head that only training has, in its own resolution. loss and its terms when a
    target was given.
    """

    logits: Tensor
    auxiliary_logits: Tensor | None = None
    loss: Tensor | None = None
    losses: dict[str, Tensor] = field(default_factory=dict)
