"""UperNet with Swin against transformers: logits, losses, gradients, running statistics."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

import zoo
from zoo.interfaces import LayoutConfigs
from zoo.testing import assert_logits_agree
from zoo_segmentation.keys import SWIN

SIZES = [(1, 96, 96), (3, 97, 131), (1, 64, 160), (3, 33, 40)]


def _pixel_logits(model, images):
    """The model's logits as transformers gives them: of the pixels."""
    logits = model({"pixel_values": images}).logits
    return F.interpolate(logits, images.shape[2:], mode="bilinear", align_corners=False)


@pytest.mark.parametrize("shape", ["tiny", "small", "base", "large"])
def test_logits_agree_for_images_of_any_size(tmp_path, reference, images, shape):
    theirs, directory = reference.save(tmp_path, shape)
    ours, _ = zoo.load(directory)
    for size in SIZES:
        with torch.inference_mode():
            assert_logits_agree(_pixel_logits(ours, images(*size)), theirs(images(*size)).logits)


@pytest.mark.parametrize(
    "changes",
    [
        {"auxiliary_num_convs": 2, "auxiliary_concat_input": True},
        {"use_auxiliary_head": False, "pool_scales": [2, 5]},
        {"version": "swinv2"},
        {"backbone": {"window_size": 7}},  # larger than the maps of the last two stages, and shifted all the same
    ],
)
def test_logits_agree_for_other_configurations(tmp_path, reference, images, changes):
    theirs, directory = reference.save(tmp_path, **changes)
    ours, _ = zoo.load(directory)
    with torch.inference_mode():
        assert_logits_agree(_pixel_logits(ours, images(2, 97, 131)), theirs(images(2, 97, 131)).logits)


@pytest.mark.parametrize("changes", [{}, {"auxiliary_num_convs": 2, "auxiliary_concat_input": True}])
def test_losses_gradients_and_statistics_of_training_agree(tmp_path, reference, images, targets, changes):
    still = {"drop_path_rate": 0.0, "embed_dim": 8, "num_heads": [1, 1, 2, 2]}
    theirs, directory = reference.save(tmp_path, backbone=still, auxiliary_loss_weight=0.7, **changes)
    ours, _ = zoo.load(directory, dtype="float64")
    theirs = theirs.double().train()
    ours.train()
    pixels, target = images(2, 65, 97).double(), targets(5, 2, 65, 97)
    output = ours({"pixel_values": pixels}, target=target)
    expected = theirs(pixels, labels=target)
    torch.testing.assert_close(output.loss, expected.loss, rtol=1e-9, atol=1e-9)
    assert set(output.losses) == {"pixel", "auxiliary"}
    torch.testing.assert_close(sum(output.losses.values()), output.loss)
    output.loss.backward()
    expected.loss.backward()
    grads = {name: parameter.grad for name, parameter in ours.named_parameters()}
    assert all(grad is not None and grad.abs().max() > 0 for grad in grads.values())
    theirs_by_name = _under_our_names(
        ours, {name: parameter.grad for name, parameter in theirs.named_parameters() if parameter.grad is not None}
    )
    assert set(theirs_by_name) == set(grads)
    for name, grad in grads.items():
        torch.testing.assert_close(grad, theirs_by_name[name], rtol=1e-6, atol=1e-6, msg=lambda text, n=name: n + text)
    statistics = _under_our_names(ours, dict(theirs.named_buffers()))
    assert statistics
    for name, buffer in ours.named_buffers():
        if name in statistics:
            torch.testing.assert_close(buffer, statistics[name], rtol=1e-9, atol=1e-9)
    assert ours.head.fusion.norm.num_batches_tracked == 12346


def test_the_model_and_the_loss_of_training_compile_as_one_graph_each(reference, images, targets, tmp_path):
    _, directory = reference.save(tmp_path, backbone={"depths": [1, 1, 1, 1]})
    ours, _ = zoo.load(directory)
    inputs = {"pixel_values": images(2, 64, 96)}
    with torch.inference_mode():
        logits = torch.compile(ours, fullgraph=True, backend="eager")(inputs).logits
        assert torch.equal(logits, ours(inputs).logits)
    with torch.no_grad():
        features = ours.neck(ours.backbone(**inputs))

    def loss(features, target):
        return ours.head.loss(ours.head(features), target)[0]

    ours.head.train()
    compiled = torch.compile(loss, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(features, targets(5, 2, 64, 96)), loss(features, targets(5, 2, 64, 96)))


def _under_our_names(ours, tensors):
    """Tensors of transformers in memory, under our names."""
    configs = LayoutConfigs(architecture=ours.config, neck=ours.neck.config, head=ours.head.config)
    matches, _, unclaimed = SWIN(configs).match_stored(tensors)
    assert not [name for name in unclaimed if "relative_position_index" not in name]
    return {match.model[0]: tensors[match.stored[0]] for match in matches}
