"""Segmentation by name: the preset that was trained for it, any backbone with any head, and what is refused."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

import zoo
from zoo import CompositionError, UntrainedHead
from zoo.testing import assert_logits_agree, assert_same_tensors
from zoo_segmentation.presets import PRESETS

SWIN = {"embed_dim": 12, "depths": [2, 2, 2, 2], "num_heads": [1, 2, 4, 8], "window_size": 3, "image_size": 96}
"""Of a classifier of transformers."""


@pytest.fixture
def classifier(tmp_path):
    ours = zoo.create({"model_type": "swin", **SWIN}, num_labels=5)
    return zoo.save(ours, tmp_path / "classifier")


def test_a_name_and_a_task_load_what_was_trained_for_it(tmp_path, reference, images, monkeypatch):
    """`zoo.load("swin", task="segmentation")`, where what the Hub has lies in a local directory."""
    theirs, directory = reference.save(tmp_path)
    hub = {"hf://openmmlab/upernet-swin-tiny": directory}
    monkeypatch.setattr("zoo.source.locate", lambda source: hub[source])
    ours, _ = zoo.load("swin", task="segmentation")
    assert ours.origin.head == "zoo-segmentation:upernet"
    pixels = images(1, 64, 96)
    with torch.inference_mode():
        logits = F.interpolate(ours({"pixel_values": pixels}).logits, (64, 96), mode="bilinear", align_corners=False)
        assert_logits_agree(logits, theirs(pixels).logits)


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
def test_every_preset_can_be_built(preset):
    model = zoo.create(preset.name, device="meta")
    assert model.task == "image-segmentation"
    assert model.head.classifier.weight.shape[:2] == (150, 512)
    assert model.head.auxiliary.convs[0].conv.weight.shape[1] == preset.config["auxiliary_in_channels"]


@pytest.mark.parametrize("head", ["upernet", "fpn"])
def test_a_head_without_weights_is_refused(classifier, head):
    with pytest.raises(UntrainedHead, match=f"head '{head}'.*a trained 'image-classifier' head for 5 labels"):
        zoo.load(classifier, task="segmentation", head=head)


def test_a_trained_backbone_takes_a_fresh_head(tmp_path, classifier, images, targets):
    options = {"task": "segmentation", "head": "fpn", "init_head": True, "labels": ["sky", "sea", "sand"]}
    ours, _ = zoo.load(classifier, **options)
    output = ours({"pixel_values": images(2, 64, 96)}, target=targets(3, 2, 64, 96))
    output.loss.backward()
    assert output.logits.shape == (2, 3, 16, 24)
    assert ours.backbone.patch_embedding.projection.weight.grad.abs().max() > 0
    zoo.save(ours, tmp_path / "saved")
    again, _ = zoo.load(tmp_path / "saved")
    assert again.task == "image-segmentation"
    assert again.head.config == ours.head.config
    zoo.save(again, tmp_path / "again")
    assert_same_tensors(tmp_path / "again", tmp_path / "saved")


def test_other_labels_keep_all_of_the_head_but_its_classifiers(tmp_path, reference):
    theirs, directory = reference.save(tmp_path)
    ours, _ = zoo.load(directory, num_labels=7, init_head=True)
    kept = theirs.decode_head.fpn_bottleneck
    assert torch.equal(ours.head.fusion.conv.weight, kept.conv.weight)
    assert torch.equal(ours.head.fusion.norm.running_var, kept.batch_norm.running_var)
    assert ours.head.classifier.weight.shape[0] == ours.head.auxiliary.classifier.weight.shape[0] == 7
    assert set(ours.origin.report.untrained) == {
        f"head.{part}classifier.{kind}" for part in ("", "auxiliary.") for kind in ("weight", "bias")
    }


def test_text_has_no_maps():
    with pytest.raises(CompositionError, match="strides 4, 8, 16 and 32"):
        zoo.create("llama", task="segmentation")
