"""The simple feature pyramid: maps of the sizes and strides that it promises, from tokens of any stride."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from zoo import ConfigError, InvalidInput
from zoo.interfaces import FeatureSpec
from zoo.interfaces.features import Features
from zoo.testing import shake
from zoo_vit.config import Dinov2Config, ViTConfig
from zoo_vit.model import VisionTransformer
from zoo_vit.simple_fpn import SimpleFPN
from zoo_vit.simple_fpn_config import SimpleFPNConfig

SHAPE = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}


def spec(stride=16, prefix=1, channels=32):
    return FeatureSpec(
        name="tokens", channels=channels, kind="tokens", modality="image", stride=stride, prefix_tokens=prefix
    )


def pyramid(source, **changes):
    neck = SimpleFPN((source,), SimpleFPNConfig(channels=12, **changes))
    neck.init_weights(torch.Generator().manual_seed(0))
    shake(neck)
    return neck.eval()


def features(grid, prefix=1, channels=32, batch=2):
    length = prefix + grid[0] * grid[1]
    return Features(tokens=torch.randn(batch, length, channels, generator=torch.Generator().manual_seed(0)), grid=grid)


def test_maps_have_the_sizes_of_their_strides():
    maps = pyramid(spec())(features((5, 8))).maps
    assert [tuple(each.shape) for each in maps] == [(2, 12, 20, 32), (2, 12, 10, 16), (2, 12, 5, 8), (2, 12, 3, 4)]


@pytest.mark.parametrize(
    ("stride", "grid", "sizes"),
    [
        (14, (16, 16), [(56, 56), (28, 28), (14, 14), (7, 7)]),
        (14, (1, 1), [(4, 4), (2, 2), (1, 1), (1, 1)]),
        (32, (3, 4), [(24, 32), (12, 16), (6, 8), (3, 4)]),
        (8, (5, 4), [(10, 8), (5, 4), (3, 2), (2, 1)]),
    ],
)
def test_tokens_of_any_stride_give_maps_of_the_same_strides(stride, grid, sizes):
    maps = pyramid(spec(stride))(features(grid)).maps
    assert [tuple(each.shape[2:]) for each in maps] == sizes


def test_the_levels_are_those_of_the_paper():
    neck, given = pyramid(spec()), features((3, 4))
    x = given.tokens[:, 1:].transpose(1, 2).reshape(2, 32, 3, 4)
    weights = dict(neck.named_parameters())

    def norm(x, name):
        weight, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
        return F.layer_norm(x.permute(0, 2, 3, 1), x.shape[1:2], weight, bias, 1e-6).permute(0, 3, 1, 2)

    def upsampled(x, name):
        return F.conv_transpose2d(x, weights[f"{name}.weight"], weights[f"{name}.bias"], stride=2)

    def mapped(x, level, first):
        x = norm(F.conv2d(x, weights[f"levels.{level}.{first}.weight"]), f"levels.{level}.{first + 1}")
        x = F.conv2d(x, weights[f"levels.{level}.{first + 2}.weight"], padding=1)
        return norm(x, f"levels.{level}.{first + 3}")

    finest = upsampled(F.gelu(norm(upsampled(x, "levels.0.0"), "levels.0.1")), "levels.0.3")
    expected = [
        mapped(finest, 0, 4),
        mapped(upsampled(x, "levels.1.0"), 1, 1),
        mapped(x, 2, 0),
        mapped(F.max_pool2d(x, 2, ceil_mode=True), 3, 1),
    ]
    assert finest.shape[1] == 8
    for mine, their in zip(neck(given).maps, expected, strict=True):
        torch.testing.assert_close(mine, their, rtol=1e-4, atol=1e-4)


def test_prefix_tokens_are_left_out():
    neck = pyramid(spec(prefix=5))
    given = features((4, 4), prefix=5)
    before = neck(given).maps
    given.tokens[:, :5] += 100
    assert all(torch.equal(mine, their) for mine, their in zip(neck(given).maps, before, strict=True))


def test_it_says_what_it_gives_before_anything_is_built():
    specs = SimpleFPNConfig().feature_specs((spec(14),))
    assert [(each.kind, each.channels, each.stride, each.name) for each in specs] == [
        ("map", 256, 4, "p2"),
        ("map", 256, 8, "p3"),
        ("map", 256, 16, "p4"),
        ("map", 256, 32, "p5"),
    ]


@pytest.mark.parametrize(
    "config",
    [
        ViTConfig(**SHAPE, image_size=64, intermediate_size=32),
        Dinov2Config(**SHAPE, image_size=56, model_type="dinov2_with_registers", num_register_tokens=2),
    ],
)
def test_gradients_reach_everything_through_a_backbone_in_one_graph(config, images):
    backbone = VisionTransformer(config)
    backbone.init_weights(torch.Generator().manual_seed(0))
    neck = pyramid(config.feature_specs()[0])

    def run(pixels):
        return neck(backbone(pixels)).maps

    torch._dynamo.reset()
    maps = torch.compile(run, fullgraph=True, backend="eager")(images(1, 70, 90))
    torch._dynamo.reset()
    sum(each.square().sum() for each in maps).backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in neck.parameters())
    assert backbone.embedding.projection.weight.grad.any()


@pytest.mark.parametrize(
    ("values", "field", "said"),
    [
        ({"channels": 0}, "channels", "above 0"),
        ({"channels": 2**30}, "channels", "at most"),
        ({"strides": []}, "strides", "at least one"),
        ({"strides": [4, 8, 12]}, "strides", "powers of two"),
        ({"strides": [0, 4]}, "strides", "powers of two"),
        ({"strides": [8, 4]}, "strides", "must rise"),
        ({"strides": [4, 4]}, "strides", "must rise"),
        ({"strides": 4}, "strides", "a list of int"),
        ({"layer_norm_eps": 0}, "layer_norm_eps", "above 0"),
    ],
)
def test_a_bad_value_is_refused_by_the_name_of_its_field(values, field, said):
    with pytest.raises(ConfigError) as caught:
        SimpleFPNConfig(**values)
    assert f"field '{field}'" in str(caught.value)
    assert said in str(caught.value)


def test_what_a_pyramid_can_not_be_made_of_is_refused():
    with pytest.raises(ConfigError, match="halves the 2 channels"):
        SimpleFPNConfig().feature_specs((spec(channels=2),))
    with pytest.raises(ConfigError, match="stride is not known"):
        SimpleFPNConfig().feature_specs((spec(stride=None),))
    neck = pyramid(spec())
    with pytest.raises(InvalidInput, match="grid"):
        neck(Features(tokens=torch.zeros(1, 17, 32)))
    with pytest.raises(InvalidInput, match="16 tokens of patches were found, but a grid of 4 x 5"):
        neck(Features(tokens=torch.zeros(1, 17, 32), grid=(4, 5)))
