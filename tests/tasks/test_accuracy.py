"""Top-k accuracy."""

from __future__ import annotations

import pytest
import torch

import zoo
from zoo.tasks.accuracy import TopKAccuracy

LOGITS = torch.randn(50, 10, generator=torch.Generator().manual_seed(0))
TARGET = torch.randint(0, 10, (50,), generator=torch.Generator().manual_seed(1))


def test_it_is_that_of_all_batches_together():
    accuracy, other = TopKAccuracy((1, 3)), TopKAccuracy((1, 3))
    for first in range(0, 40, 7):
        accuracy.update(LOGITS[first : min(first + 7, 40)], TARGET[first : min(first + 7, 40)])
    other.update(LOGITS[40:], TARGET[40:])
    accuracy.merge(other)
    best = LOGITS.topk(3).indices == TARGET[:, None]
    expected = {"top1": best[:, 0].float().mean().item(), "top3": best.any(dim=1).float().mean().item()}
    assert accuracy.compute() == pytest.approx(expected)
    assert accuracy.total == 50


def test_ties_and_nan_are_not_right():
    accuracy = TopKAccuracy((1, 2))
    accuracy.update(torch.tensor([[1.0, 1.0, 0.0], [torch.nan, torch.nan, torch.nan]]), torch.tensor([0, 0]))
    assert accuracy.compute() == {"top1": 0.0, "top2": 0.5}


def test_more_than_there_are_labels_is_always_right():
    accuracy = TopKAccuracy((5,))
    accuracy.update(torch.tensor([[0.0, 1.0]]), torch.tensor([0]))
    assert accuracy.compute() == {"top5": 1.0}


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int32])
def test_indices_may_be_of_any_integers(dtype):
    accuracy, expected = TopKAccuracy(), TopKAccuracy()
    accuracy.update(LOGITS, TARGET.to(dtype))
    expected.update(LOGITS, TARGET)
    assert accuracy.compute() == expected.compute()


@pytest.mark.parametrize(
    ("logits", "target", "message"),
    [
        (LOGITS, TARGET[:3], "target of"),
        (LOGITS[0], TARGET, "logits of"),
        (LOGITS, TARGET + 9, "10 labels were expected.* to 18"),
        (LOGITS, -TARGET, "10 labels"),
        (LOGITS, TARGET.float(), "torch.float32"),
        (LOGITS, TARGET > 4, "torch.bool"),
    ],
)
def test_what_does_not_fit_is_refused(logits, target, message):
    with pytest.raises(zoo.InvalidInput, match=message):
        TopKAccuracy().update(logits, target)


def test_nothing_has_no_accuracy():
    accuracy = TopKAccuracy()
    accuracy.update(LOGITS[:0], TARGET[:0])
    with pytest.raises(zoo.InvalidInput, match="no accuracy yet"):
        accuracy.compute()
    with pytest.raises(zoo.InvalidInput, match="ks"):
        TopKAccuracy((0,))
    with pytest.raises(zoo.InvalidInput, match="one set"):
        accuracy.merge(TopKAccuracy((1,)))
