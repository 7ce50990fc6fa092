"""ViT, DeiT and DINOv2 against transformers' on random, shaken weights that transformers has saved."""

from __future__ import annotations

import copy

import pytest
import torch

import zoo
from zoo.testing import assert_logits_agree

SIZES = [(56, 56), (32, 32), (33, 75), (100, 57)]
"""The sizes of the configurations, a larger or smaller one, and odd ones that are no multiples of a patch."""


def test_all_hidden_states_agree_for_every_image_size(tmp_path, reference, images):
    theirs, directory = reference.save(tmp_path, "Model")
    ours, _ = zoo.load(directory, task=None)
    for size in SIZES:
        for batch in (1, 3):
            pixels = images(batch, *size)
            with torch.inference_mode():
                expected = reference.run(theirs, pixels, output_hidden_states=True)
                features = ours(pixels, hidden_states=True)
            states = features.extras["hidden_states"]
            assert len(states) == len(expected.hidden_states) == 4
            for mine, their in zip(states, expected.hidden_states, strict=True):
                assert_logits_agree(mine, their)
            assert_logits_agree(features.tokens, expected.last_hidden_state)
            assert torch.equal(features.vector, features.tokens[:, 0])
            patch = ours.config.patch
            assert features.grid == (size[0] // patch, size[1] // patch)
            assert features.tokens.shape[1] == ours.config.prefix_tokens + features.grid[0] * features.grid[1]
            pooled = features.extras.get("pooled", features.vector)
            assert_logits_agree(pooled, expected.pooler_output)


def test_nothing_is_interpolated_at_the_size_of_the_configuration(tmp_path, references, images):
    reference = references["vit"]
    theirs, directory = reference.save(tmp_path)
    ours, _ = zoo.load(directory)
    with torch.inference_mode():
        assert_logits_agree(ours({"pixel_values": images(2, 32, 32)}).logits, theirs(images(2, 32, 32)).logits, 1e-6)


def test_logits_agree_for_every_image_size(tmp_path, reference, images):
    theirs, directory = reference.save(tmp_path)
    ours, _ = zoo.load(directory)
    for size in SIZES:
        for batch in (1, 3):
            pixels = images(batch, *size)
            with torch.inference_mode():
                expected = reference.run(theirs, pixels).logits
                assert_logits_agree(ours({"pixel_values": pixels}).logits, expected)


def test_both_classifiers_of_a_distilled_deit_agree(tmp_path, references, images):
    reference = references["deit"]
    theirs, directory = reference.save(tmp_path, "ForImageClassificationWithTeacher")
    ours, _ = zoo.load(directory)
    with torch.inference_mode():
        expected = reference.run(theirs, images(2, 40, 51))
        output = ours({"pixel_values": images(2, 40, 51)})
    assert_logits_agree(output.logits, expected.logits)
    assert_logits_agree(output.class_logits, expected.cls_logits)
    assert_logits_agree(output.distillation_logits, expected.distillation_logits)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("vit", {"qkv_bias": False, "hidden_act": "gelu_new", "layer_norm_eps": 1e-3}),
        ("vit", {"pooler_output_size": 7, "pooler_act": "relu", "patch_size": 4}),
        ("vit", {"image_size": [32, 48], "num_channels": 3}),
        ("deit", {"intermediate_size": 96, "hidden_act": "relu", "num_attention_heads": 1}),
        ("dinov2", {"use_mask_token": False, "hidden_act": "silu", "mlp_ratio": 3}),
        ("dinov2_swiglu", {"hidden_size": 48, "num_attention_heads": 6}),
        ("dinov2_with_registers", {"use_swiglu_ffn": True, "num_register_tokens": 1, "qkv_bias": False}),
    ],
)
def test_tokens_agree_for_every_setting(tmp_path, references, images, name, changes):
    reference = references[name]
    theirs, directory = reference.save(tmp_path, "Model", **changes)
    ours, _ = zoo.load(directory, task=None)
    pixels = images(2, *(side * ours.config.patch for side in ours.config.grid))
    with torch.inference_mode():
        assert_logits_agree(ours(pixels).tokens, theirs(pixels).last_hidden_state)


@pytest.mark.parametrize("name", ["dinov2", "dinov2_with_registers"])
def test_masked_patches_agree(tmp_path, references, images, name):
    theirs, directory = references[name].save(tmp_path, "Model")
    ours, _ = zoo.load(directory, task=None)
    masked = torch.rand(2, 20, generator=torch.Generator().manual_seed(0)) < 0.5
    with torch.inference_mode():
        expected = theirs(images(2, 56, 71), bool_masked_pos=masked).last_hidden_state
        assert_logits_agree(ours(images(2, 56, 71), masked_patches=masked).tokens, expected)
        assert not torch.allclose(ours(images(2, 56, 71)).tokens, expected)


def test_gradients_reach_every_parameter_and_agree(tmp_path, reference, images):
    theirs, directory = reference.save(tmp_path)
    ours, _ = zoo.load(directory, dtype="float64")
    theirs = copy.deepcopy(theirs).double()
    pixels, target = images(2, 33, 75).double(), torch.tensor([1, 4])
    ours({"pixel_values": pixels}, target).loss.backward()
    reference.run(theirs, pixels, labels=target).loss.backward()
    # Gradients under the names that both are saved with.
    ours_saved, theirs_saved = _gradients(ours), _gradients(theirs)
    zoo.save(ours_saved, tmp_path / "ours")
    theirs_saved.save_pretrained(tmp_path / "theirs")
    expected = _tensors(tmp_path / "theirs")
    actual = _tensors(tmp_path / "ours")
    assert set(actual) == set(expected)
    untouched = {name for name, gradient in actual.items() if not gradient.any()}
    # A shift of all keys alike changes no softmax; only rounding reaches their biases.
    assert untouched <= {name for name in actual if name.endswith(("mask_token", "pooler.dense.weight"))}
    for name, gradient in actual.items():
        torch.testing.assert_close(gradient, expected[name], rtol=1e-6, atol=1e-6)


def _gradients(model):
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.zeros_like(parameter) if parameter.grad is None else parameter.grad)
    return model


def _tensors(directory):
    from safetensors.torch import load_file

    return load_file(directory / "model.safetensors")
