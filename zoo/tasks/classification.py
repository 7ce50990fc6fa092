"""What tasks share that give one of several labels: the output, its loss, and labels in the order of their scores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.errors import InvalidInput
from zoo.interfaces.pytree import register_pytree

__all__ = ["ClassificationOutput", "LabelScore", "count_labels", "label_loss", "ranked_labels"]


@register_pytree()
@dataclass
class ClassificationOutput:
    """logits: (batch, labels). loss and its terms when a target was given."""

    logits: Tensor
    loss: Tensor | None = None
    losses: dict[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LabelScore:
    """A label and its probability."""

    label: str
    score: float


def count_labels(target: Tensor) -> dict[str, Tensor]:
    """The denominator of `label_loss`."""
    return {"label": torch.tensor(len(target), device=getattr(target, "device", None))}


def _require_labels(target: object, logits: Tensor) -> None:
    """Raise InvalidInput for a target that is not (batch,) indices of labels. Indices are looked at on the CPU alone,
    since an accelerator would have to be waited for.
    """
    batch, labels = logits.shape
    if not isinstance(target, Tensor):
        raise InvalidInput(f"target: a tensor of {batch} indices was expected, found {type(target).__name__}.")
    if target.is_floating_point() or target.dtype == torch.bool or target.shape != (batch,):
        shape = tuple(target.shape)
        raise InvalidInput(
            f"target: integers of shape ({batch},) were expected, found {target.dtype} of shape {shape}."
        )
    if target.device.type != "cpu" or torch.compiler.is_compiling() or not target.numel():
        return
    low, high = int(target.min()), int(target.max())
    if low < 0 or high >= labels:
        raise InvalidInput(
            f"target: indices of {labels} labels, 0 to {labels - 1}, were expected; found {low} to {high}."
        )


def label_loss(
    output: ClassificationOutput, target: Tensor, denominators: Mapping[str, Tensor] | None
) -> tuple[Tensor, dict[str, Tensor]]:
    """The cross-entropy of a batch. target: (batch,) indices of labels."""
    _require_labels(target, output.logits)
    total = (denominators or count_labels(target))["label"]
    loss = F.cross_entropy(output.logits.float(), target, reduction="sum") / total
    return loss, {"label": loss}


def ranked_labels(logits: Tensor, labels: Sequence[str], top: int | None) -> Iterator[list[LabelScore]]:
    """For each row of (batch, labels), the labels with their probabilities, the likeliest first. Raises InvalidInput
    for scores that say nothing.
    """
    probabilities = logits.float().softmax(dim=-1)
    if probabilities.isnan().any():
        raise InvalidInput(
            "The model gives scores that are NaN or infinite, which no label can be taken from.",
            hint="Numbers may have become too large for float16; load it with dtype='bfloat16' or 'float32'.",
        )
    for row in probabilities.cpu().tolist():
        ranked = sorted(zip(labels, row, strict=True), key=lambda pair: -pair[1])
        yield [LabelScore(label, score) for label, score in ranked[:top]]
