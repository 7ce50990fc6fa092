"""Swin and Swin V2 against transformers' on random, shaken weights that transformers has saved."""

from __future__ import annotations

import copy

import pytest
import torch

import zoo
from zoo.testing import assert_logits_agree
from zoo_swin.config import SwinConfig, SwinV2Config
from zoo_swin.model import Swin, SwinV2

SIZES = [(96, 96), (97, 131), (160, 101)]


@pytest.mark.parametrize("shape", ["tiny", "small", "base", "large"])
def test_logits_agree_for_every_shape_and_image_size(tmp_path, reference, images, shape):
    theirs, directory = reference.save(tmp_path, shape=shape)
    ours, _ = zoo.load(directory)
    for height, width in SIZES:
        for batch in (1, 3):
            pixels = images(batch, height, width)
            with torch.inference_mode():
                expected = copy.deepcopy(theirs)(pixels).logits
                assert_logits_agree(ours({"pixel_values": pixels}).logits, expected)


@pytest.mark.parametrize(
    "changes",
    [
        {"window_size": 6, "image_size": 192},
        {"qkv_bias": False},
        {"mlp_ratio": 2.5, "hidden_act": "gelu_new"},
        {"patch_size": 2, "image_size": 48},
        {"layer_norm_eps": 1e-3, "num_channels": 3},
    ],
)
def test_vectors_agree_for_every_setting(tmp_path, reference, images, changes):
    theirs, directory = reference.save(tmp_path, "Model", **changes)
    ours, _ = zoo.load(directory, task=None)
    size = theirs.config.image_size
    with torch.inference_mode():
        pixels = images(2, size, size + 31)
        assert_logits_agree(ours(pixels).vector, theirs(pixels).pooler_output)


def test_absolute_positions_agree_and_are_stretched_for_other_sizes(tmp_path, images):
    from transformers import SwinConfig as TheirConfig
    from transformers import SwinModel

    from zoo.testing import shake

    values = {"image_size": 48, "window_size": 3, "depths": [2, 2], "num_heads": [1, 2], "embed_dim": 12}
    theirs = SwinModel(TheirConfig(**values, use_absolute_embeddings=True)).eval()
    shake(theirs)
    theirs.save_pretrained(tmp_path)
    ours, _ = zoo.load(tmp_path, task=None)
    with torch.inference_mode():
        for size in ((48, 48), (64, 80)):
            expected = copy.deepcopy(theirs)(images(2, *size), interpolate_pos_encoding=True).pooler_output
            assert_logits_agree(ours(images(2, *size)).vector, expected)


def test_the_output_of_every_block_agrees(tmp_path, reference, images):
    theirs, directory = reference.save(tmp_path, "Model", "small")
    ours, _ = zoo.load(directory, task=None)
    blocks = [block for stage in ours.stages for block in stage.blocks]
    their_blocks = [block for stage in theirs.encoder.layers for block in stage.blocks]
    seen: dict[int, list[torch.Tensor]] = {}

    def record(index):
        def hook(module, inputs, output):
            seen.setdefault(index, []).append(output[0] if isinstance(output, tuple) else output)

        return hook

    for index, (block, their_block) in enumerate(zip(blocks, their_blocks, strict=True)):
        block.register_forward_hook(record(index))
        their_block.register_forward_hook(record(index))
    with torch.inference_mode():
        ours(images(2, 97, 131))
        theirs(images(2, 97, 131))
    assert len(seen) == 10
    for mine, expected in seen.values():
        assert_logits_agree(mine.flatten(1, 2), expected)


@pytest.mark.parametrize("size", [(96, 96), (97, 131), (40, 33)])
def test_the_maps_of_dense_prediction_agree(reference, images, size):
    stages = ["stage1", "stage2", "stage3", "stage4"]
    config = reference.config(out_features=stages)
    theirs = reference.model("Backbone", config)
    version = (SwinV2, SwinV2Config) if reference.version == "swinv2" else (Swin, SwinConfig)
    ours = version[0](version[1].from_hub(config.to_dict()).replace(dense=True)).eval()
    ours.load_state_dict(_our_names(theirs))
    with torch.no_grad():
        maps, expected = ours(images(2, *size)).maps, theirs(images(2, *size)).feature_maps
    assert [spec.stride for spec in ours.config.feature_specs()] == [4, 8, 16, 32]
    for stage, mine, their in zip(stages, maps, expected, strict=True):
        if reference.version == "swin":
            with torch.no_grad():
                mine = theirs.hidden_states_norms[stage](mine.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        assert_logits_agree(mine, their)


def test_images_smaller_than_a_window_are_taken(reference, images):
    config = reference.config(window_size=7)
    version = (SwinV2, SwinV2Config) if reference.version == "swinv2" else (Swin, SwinConfig)
    ours = version[0](version[1].from_hub(config.to_dict())).eval()
    ours.init_weights(torch.Generator().manual_seed(0))
    with torch.inference_mode():
        features = ours(images(2, 1, 5))
    assert features.vector.isfinite().all()
    assert [tuple(each.shape[2:]) for each in features.maps] == [(1, 2), (1, 1), (1, 1), (1, 1)]


def test_gradients_reach_every_parameter_and_agree(tmp_path, reference, images):
    theirs, directory = reference.save(tmp_path, "Model", embed_dim=8, num_heads=[1, 1, 2, 2])
    ours, _ = zoo.load(directory, task=None, dtype="float64")
    theirs = theirs.double()
    ours(images(1, 97, 131).double()).vector.square().sum().backward()
    theirs(images(1, 97, 131).double()).pooler_output.square().sum().backward()
    expected = {name: parameter.grad for name, parameter in theirs.named_parameters()}
    grads = {name: parameter.grad for name, parameter in ours.named_parameters()}
    named = _our_names(theirs, expected)
    assert set(named) == set(grads)
    for name, grad in grads.items():
        torch.testing.assert_close(grad, named[name], rtol=1e-6, atol=1e-6)


def _our_names(model, tensors=None):
    """The tensors of a model of transformers, in memory, under our names."""
    from zoo_swin.keys import SWIN, SWINV2

    tensors = model.state_dict() if tensors is None else tensors
    key_map = SWINV2 if model.config.model_type == "swinv2" else SWIN
    plain = {name.removeprefix("swin."): tensor for name, tensor in tensors.items()}
    wanted = {name: tensor for name, tensor in plain.items() if not name.startswith("hidden_states_norms")}
    if type(model).__name__.endswith("Backbone"):
        wanted = {name: tensor for name, tensor in wanted.items() if not name.startswith("layernorm")}
    matches, _, unclaimed = key_map.match_stored(wanted)
    assert not unclaimed
    return {match.model[0].removeprefix("backbone."): wanted[match.stored[0]] for match in matches}
