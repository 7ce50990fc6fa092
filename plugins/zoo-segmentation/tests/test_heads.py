"""The heads on maps of any size: shapes, gradients, fresh weights."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from zoo.interfaces import FeatureSpec
from zoo.interfaces.features import Features
from zoo_segmentation.config import FPNConfig, UperNetConfig
from zoo_segmentation.fpn import FPN
from zoo_segmentation.joint_conv import JointConvBlock
from zoo_segmentation.stage_norms import StageNorms
from zoo_segmentation.stage_norms_config import StageNormsConfig
from zoo_segmentation.upernet import UperNet

SPECS = tuple(
    FeatureSpec(name=f"stage{index + 1}", channels=4 * 2**index, kind="map", modality="image", stride=4 * 2**index)
    for index in range(4)
)
LABELS = ("a", "b", "c")


def _maps(batch, height, width, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return Features(
        maps=tuple(
            torch.randn(batch, spec.channels, -(-height // spec.stride), -(-width // spec.stride), generator=generator)
            for spec in SPECS
        )
    )


def _head(kind):
    if kind is FPN:
        return FPN(SPECS, FPNConfig(labels=LABELS, channels=8, branch_channels=16, groups=4))
    return UperNet(SPECS, UperNetConfig(labels=LABELS, channels=8, auxiliary_channels=4, auxiliary_concat=True))


@pytest.mark.parametrize("kind", [UperNet, FPN])
@pytest.mark.parametrize("size", [(2, 64, 64), (3, 33, 47), (1, 1, 1)])
def test_every_position_of_the_finest_map_is_scored(kind, size):
    head = _head(kind).eval()
    head.init_weights(torch.Generator().manual_seed(0))
    logits = head(_maps(*size)).logits
    assert logits.shape == (size[0], 3, -(-size[1] // 4), -(-size[2] // 4))
    assert logits.isfinite().all()


@pytest.mark.parametrize("kind", [UperNet, FPN])
def test_every_map_and_every_parameter_matters(kind, targets):
    head = _head(kind).train()
    head.init_weights(torch.Generator().manual_seed(0))
    features = _maps(2, 64, 64)
    for each in features.maps:
        each.requires_grad_()
    loss, _ = head.loss(head(features), targets(3, 2, 64, 64))
    loss.backward()
    for tensor in (*features.maps, *head.parameters()):
        assert tensor.grad.abs().max() > 0


@pytest.mark.parametrize("kind", [UperNet, FPN])
def test_fresh_weights_depend_on_the_seed_alone(kind):
    first, second = _head(kind), _head(kind)
    for parameter in (*first.parameters(), *first.buffers()):
        parameter.data.fill_(7)
    for head in (first, second):
        head.init_weights(torch.Generator().manual_seed(3))
    stored = second.state_dict()
    assert all(torch.equal(tensor, stored[name]) for name, tensor in first.state_dict().items())
    assert 0 < stored["classifier.weight"].std() < 0.02


def test_the_levels_of_the_pyramid_add_up_as_in_the_paper():
    """Panoptic FPN, section 3.1: the pyramid by nearest neighbours, then conv, norm, ReLU, doubling, until stride 4."""
    head = _head(FPN).eval()
    head.init_weights(torch.Generator().manual_seed(0))
    features = _maps(2, 64, 96)
    tops = [lateral(each) for lateral, each in zip(head.laterals, features.maps, strict=True)]
    for level in (2, 1, 0):
        tops[level] = tops[level] + tops[level + 1].repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    total = 0
    for level, (top, smoothing) in enumerate(zip(tops, head.smoothings, strict=True)):
        x = smoothing(top)
        for number, step in enumerate(head.branches[level].steps):
            x = F.relu(step.norm(step.conv(x)))
            if number < level:
                x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
        total = total + x
    torch.testing.assert_close(head(features).logits, head.classifier(total))


@pytest.mark.parametrize(
    "sizes", [[(8, 8), (4, 4), (2, 2)], [(9, 13), (5, 7), (3, 4)], [(3, 5), (1, 1), (6, 4)], [(1, 1)] * 3]
)
def test_maps_are_convolved_as_if_resized_and_put_side_by_side(sizes):
    block = JointConvBlock((3, 2, 4), 5).double().eval()
    generator = torch.Generator().manual_seed(0)
    maps = [
        torch.randn(2, channels, *size, generator=generator).double().requires_grad_()
        for channels, size in zip(block.in_channels, sizes, strict=True)
    ]
    resized = [F.interpolate(each, sizes[0], mode="bilinear", align_corners=False) for each in maps]
    expected = block.norm(block.conv(torch.cat(resized, dim=1))).relu()
    joined = block(maps)
    torch.testing.assert_close(joined, expected)
    leaves = [*maps, block.conv.weight]
    weights = torch.randn(expected.shape, generator=generator).double()
    for grad, other in zip(
        torch.autograd.grad((joined * weights).sum(), leaves),
        torch.autograd.grad((expected * weights).sum(), leaves),
        strict=True,
    ):
        torch.testing.assert_close(grad, other)


class Adapted(nn.Module):
    """A convolution with a low-rank one beside it, as adapters put it in the place of the one that was trained."""

    def __init__(self, base: nn.Conv2d) -> None:
        super().__init__()
        self.base = base
        self.low = nn.Conv2d(base.in_channels, 2, 3, padding=1, bias=False)
        self.high = nn.Conv2d(2, base.out_channels, 1, bias=False)

    @property
    def weight(self):
        return self.base.weight

    def forward(self, x):
        return self.base(x) + self.high(self.low(x))


def _adapted(block):
    block.conv = Adapted(block.conv)


def _doubled_by_a_hook(block):
    block.conv.register_forward_hook(lambda module, inputs, output: 2 * output)


def _replaced_in_place(block):
    before = block.conv.forward
    block.conv.forward = lambda x: 3 * before(x)  # as offloading does it


@pytest.mark.parametrize("change", [_adapted, _doubled_by_a_hook, _replaced_in_place])
def test_what_is_put_in_the_place_of_a_joint_convolution_is_asked(change):
    torch.manual_seed(0)
    block = JointConvBlock((3, 2), 5).eval()
    maps = [torch.randn(2, 3, 8, 8), torch.randn(2, 2, 4, 4)]
    plain = block(maps)
    change(block)
    side_by_side = torch.cat([maps[0], F.interpolate(maps[1], (8, 8), mode="bilinear", align_corners=False)], dim=1)
    expected = block.norm(block.conv(side_by_side)).relu()
    torch.testing.assert_close(block(maps), expected)
    assert not torch.allclose(expected, plain, atol=1e-3)


def test_stage_norms_normalise_the_channels_of_each_position():
    neck = StageNorms(SPECS, StageNormsConfig(layer_norm_eps=0.01))
    neck.init_weights(torch.Generator())
    features = _maps(2, 33, 47)
    given = neck(features)
    assert given.vector is None
    for before, after in zip(features.maps, given.maps, strict=True):
        mean, variance = before.mean(dim=1, keepdim=True), before.var(dim=1, keepdim=True, correction=0)
        torch.testing.assert_close(after, (before - mean) / (variance + 0.01).sqrt())
