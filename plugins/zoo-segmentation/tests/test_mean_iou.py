"""Mean IoU against a computation of its own in numpy, over all pixels at once."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from zoo import InvalidInput
from zoo_segmentation.mean_iou import MeanIoU


def reference(predicted, true, labels, ignore=255):
    """From sets of pixels, label by label."""
    predicted, true = predicted[true != ignore], true[true != ignore]
    both = np.array([np.sum((predicted == label) & (true == label)) for label in range(labels)])
    either = np.array([np.sum((predicted == label) | (true == label)) for label in range(labels)])
    stated = np.array([np.sum(true == label) for label in range(labels)])
    return {
        "mean_iou": np.mean((both / np.maximum(either, 1))[either > 0]),
        "pixel_accuracy": np.mean(predicted == true),
        "mean_accuracy": np.mean((both / np.maximum(stated, 1))[stated > 0]),
    }


@pytest.fixture
def label_maps(targets):
    """Five batches of predictions and targets, of which some labels occur in one only, and two in neither."""
    generator = torch.Generator().manual_seed(7)
    pairs = []
    for index in range(5):
        target = targets(6, 2, 9 + index, 11)
        noise = torch.rand(target.shape, generator=generator) < 0.4
        pairs.append((torch.where(noise, torch.randint(1, 8, target.shape, generator=generator), target % 10), target))
    return pairs


def test_any_number_of_batches_gives_what_all_pixels_at_once_give(label_maps):
    metric, halves = MeanIoU(10), (MeanIoU(10), MeanIoU(10))
    for index, (prediction, target) in enumerate(label_maps):
        metric.update(prediction.to(torch.uint8 if index % 2 else torch.int32), target)
        halves[index % 2].update(prediction, target)
    predicted, true = (np.concatenate([pair[side].numpy().ravel() for pair in label_maps]) for side in (0, 1))
    expected = reference(predicted, true, 10)
    assert metric.compute() == pytest.approx(expected)
    halves[0].merge(halves[1])
    assert halves[0].compute() == pytest.approx(expected)
    assert metric.confusion.sum() == np.sum(true != 255)
    assert metric.iou().isnan().tolist() == [False] * 8 + [True] * 2


def test_logits_are_resized_to_the_target_and_the_largest_wins(targets):
    logits, target = torch.randn(3, 6, 8, 12, generator=torch.Generator().manual_seed(0)), targets(6, 3, 33, 49)
    metric, expected = MeanIoU(6), MeanIoU(6)
    metric.update(logits.bfloat16(), target)
    resized = F.interpolate(logits.bfloat16().float(), (33, 49), mode="bilinear", align_corners=False)
    expected.update(resized.argmax(dim=1), target)
    assert torch.equal(metric.confusion, expected.confusion)


def test_ignored_pixels_and_their_predictions_do_not_count():
    metric = MeanIoU(2, ignore_index=-1)
    metric.update(torch.tensor([[[0, 1, 99]]]), torch.tensor([[[0, 0, -1]]]))
    assert metric.compute() == {"mean_iou": 0.25, "pixel_accuracy": 0.5, "mean_accuracy": 0.5}


def test_nothing_counted_is_said():
    metric = MeanIoU(3)
    metric.update(torch.zeros(1, 2, 2, dtype=torch.int64), torch.full((1, 2, 2), 255))
    with pytest.raises(InvalidInput, match="no mean IoU yet"):
        metric.compute()


@pytest.mark.parametrize(
    ("prediction", "target", "said"),
    [
        (torch.zeros(1, 2, 2).long(), torch.full((1, 2, 2), 3), "target: labels from 0 to 2"),
        (torch.full((1, 2, 2), -1), torch.zeros(1, 2, 2).long(), "prediction: labels from 0 to 2"),
        (torch.zeros(1, 2, 3).long(), torch.zeros(1, 2, 2).long(), r"a label map of \(1, 2, 2\), found \(1, 2, 3\)"),
        (torch.zeros(1, 4, 2, 2), torch.zeros(1, 2, 2).long(), r"logits of \(1, 3, h, w\), found \(1, 4, 2, 2\)"),
        (torch.zeros(1, 2, 2).long(), torch.zeros(1, 2, 2), "target: expected integers"),
        (torch.full((1, 3, 2, 2), float("nan")), torch.zeros(1, 2, 2).long(), "logits that are NaN"),
    ],
)
def test_what_has_no_meaning_is_refused(prediction, target, said):
    with pytest.raises(InvalidInput, match=said):
        MeanIoU(3).update(prediction, target)


def test_metrics_of_other_labels_are_not_merged():
    with pytest.raises(InvalidInput, match="one set of labels"):
        MeanIoU(3).merge(MeanIoU(4))
    with pytest.raises(InvalidInput, match="ignore_index"):
        MeanIoU(3, ignore_index=2)
