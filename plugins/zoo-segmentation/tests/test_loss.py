"""The loss over pixels: what counts, what it is divided by, and which targets are refused."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from zoo import InvalidInput
from zoo.interfaces import FeatureSpec
from zoo.interfaces.features import Features
from zoo_segmentation.config import UperNetConfig
from zoo_segmentation.output import SegmentationOutput
from zoo_segmentation.upernet import UperNet

SPECS = tuple(
    FeatureSpec(name=f"stage{index + 1}", channels=4 * 2**index, kind="map", modality="image", stride=4 * 2**index)
    for index in range(4)
)


@pytest.fixture
def head():
    head = UperNet(SPECS, UperNetConfig(labels=("a", "b", "c"), channels=8, auxiliary_channels=4))
    head.init_weights(torch.Generator().manual_seed(0))
    return head


@pytest.fixture
def logits():
    return torch.randn(2, 3, 5, 6, generator=torch.Generator().manual_seed(1), requires_grad=True)


def test_the_loss_is_the_mean_over_the_pixels_that_have_a_label(head, logits, targets):
    target = targets(3, 2, 17, 23)
    loss, terms = head.loss(SegmentationOutput(logits), target)
    resized = F.interpolate(logits, (17, 23), mode="bilinear", align_corners=False)
    torch.testing.assert_close(loss, F.cross_entropy(resized, target, ignore_index=255))
    assert set(terms) == {"pixel"}
    assert head.count(target)["pixel"] == (target != 255).sum()


def test_accumulating_over_unequal_batches_gives_the_loss_of_all(head, logits, targets):
    target = targets(3, 2, 17, 23)
    target[0, :12] = 255  # far fewer pixels in the first image than in the second
    whole, _ = head.loss(SegmentationOutput(logits, auxiliary_logits=logits * 2), target)
    totals = head.count(target)
    parts = []
    for one in (slice(0, 1), slice(1, 2)):
        output = SegmentationOutput(logits[one], auxiliary_logits=logits[one] * 2)
        parts.append(head.loss(output, target[one], totals))
    torch.testing.assert_close(parts[0][0] + parts[1][0], whole)
    assert set(totals) == set(parts[0][1]) == {"pixel", "auxiliary"}


def test_the_auxiliary_term_has_its_weight_in_it(head, logits, targets):
    target = targets(3, 2, 17, 23)
    loss, terms = head.loss(SegmentationOutput(logits, auxiliary_logits=logits), target)
    torch.testing.assert_close(terms["auxiliary"], 0.4 * terms["pixel"])
    torch.testing.assert_close(loss, 1.4 * terms["pixel"])


def test_a_batch_without_any_label_gives_no_loss_and_no_gradient(head, logits):
    loss, _ = head.loss(SegmentationOutput(logits, auxiliary_logits=logits), torch.full((2, 9, 9), 255))
    loss.backward()
    assert loss == 0
    assert torch.equal(logits.grad, torch.zeros_like(logits))


def test_half_precision_logits_give_a_precise_loss(head, logits, targets):
    target = targets(3, 2, 17, 23)
    loss, _ = head.loss(SegmentationOutput(logits.bfloat16()), target)
    expected, _ = head.loss(SegmentationOutput(logits.bfloat16().float()), target)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, expected, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("target", "said"),
    [
        (torch.zeros(2, 1, 9, 9).long(), r"\(2, height, width\), found \(2, 1, 9, 9\)"),
        (torch.zeros(3, 9, 9).long(), r"\(2, height, width\), found \(3, 9, 9\)"),
        (torch.zeros(2, 0, 9).long(), r"found \(2, 0, 9\)"),
        (torch.zeros(2, 9, 9), "expected int64, found .* float32"),
        (torch.zeros(2, 9, 9, dtype=torch.uint8), r"target\.long\(\)"),
        (torch.full((2, 9, 9), 3), "labels from 0 to 2, or 255 .* found 3 in 162 pixels"),
        (torch.full((2, 9, 9), -1), "found -1"),
    ],
)
def test_a_target_of_another_kind_is_refused(head, logits, target, said):
    with pytest.raises(InvalidInput, match=said):
        head.loss(SegmentationOutput(logits), target)


def test_a_label_that_stands_for_none_is_not_trained(head, logits):
    head.config = head.config.replace(ignore_index=1)
    target = torch.ones(2, 9, 9, dtype=torch.int64)
    with pytest.raises(
        InvalidInput, match=r"label 'b' would not count, .* ignore_index, 1\.\n.*replace\(ignore_index=-100"
    ):
        head.loss(SegmentationOutput(logits), target)
    head.config = head.config.replace(ignore_index=-100)
    assert head.loss(SegmentationOutput(logits), target)[0] > 0


def test_one_image_is_no_batch_to_train_on(head):
    maps = tuple(torch.randn(1, spec.channels, 32 // spec.stride, 32 // spec.stride) for spec in SPECS)
    with pytest.raises(InvalidInput, match="at least 2 images"):
        head.train()(Features(maps=maps))
    for module in head.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eval()  # as training with small batches does
    assert head(Features(maps=maps)).auxiliary_logits is not None
    assert head.eval()(Features(maps=maps)).auxiliary_logits is None
