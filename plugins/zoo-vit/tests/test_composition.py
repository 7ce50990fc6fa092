"""Backbones of tokens with heads that want more than one vector, and what doesn't fit."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

import zoo
from zoo import CompositionError
from zoo.registry import registry
from zoo.testing import assert_logits_agree, assert_same_tensors
from zoo_vit.config import ViTConfig
from zoo_vit.heads import ClassAndMeanClassifier, DistilledClassifier


@pytest.mark.parametrize("name", ["vit", "dinov2_with_registers"])
def test_segmentation_through_the_pyramid_trains_and_comes_back(tmp_path, references, images, name):
    _, directory = references[name].save(tmp_path / "backbone", "Model")
    model, _ = zoo.load(directory, task="segmentation", head="fpn", neck="simple_fpn", init_head=True, num_labels=4)
    pixels = images(1, 60, 73)
    logits = model({"pixel_values": pixels}).logits
    assert logits.shape[:2] == (1, 4)
    model.train()
    model({"pixel_values": pixels.expand(2, -1, -1, -1)}, torch.ones(2, 60, 73, dtype=torch.int64)).loss.backward()
    assert model.backbone.layers[0].attention.q_proj.weight.grad.any()
    model.eval()
    zoo.save(model, tmp_path / "saved")
    again, _ = zoo.load(tmp_path / "saved")
    zoo.save(again, tmp_path / "twice")
    assert_same_tensors(tmp_path / "twice", tmp_path / "saved")
    with torch.inference_mode():
        expected = model({"pixel_values": pixels}).logits
        assert_logits_agree(again({"pixel_values": pixels}).logits, expected, 1e-5)


@pytest.mark.parametrize("name", ["vit", "dinov2"])
def test_segmentation_without_the_pyramid_is_refused_with_the_cure(tmp_path, references, name):
    _, directory = references[name].save(tmp_path, "Model")
    with pytest.raises(CompositionError, match="add neck='simple_fpn'"):
        zoo.load(directory, task="segmentation", init_head=True, num_labels=4)


def test_what_an_architecture_is_loaded_for_by_default():
    made = {
        name: zoo.create(name, device="meta") for name in ("vit", "deit", "dinov2", "dinov2-small-imagenet1k-1-layer")
    }
    assert len(made["vit"].head.config.labels) == 1000
    assert isinstance(made["deit"].head, DistilledClassifier)
    assert not hasattr(made["dinov2"], "head")
    assert isinstance(made["dinov2-small-imagenet1k-1-layer"].head, ClassAndMeanClassifier)
    classifier = zoo.create("dinov2", task="image-classification", device="meta")
    assert isinstance(classifier.head, ClassAndMeanClassifier)


def test_a_distilled_classifier_needs_a_distillation_token():
    with pytest.raises(CompositionError, match="needs image tokens with 2 prefix tokens"):
        zoo.create("vit", task="image-classification", head="distilled-classifier", device="meta")
    with pytest.raises(CompositionError, match="a distillation token before the patches"):
        zoo.create(
            "dinov2-with-registers-small", task="image-classification", head="distilled-classifier", device="meta"
        )


def test_features_without_a_class_token_are_refused():
    (spec, _) = ViTConfig().feature_specs()
    requirement = registry().heads.get("class-and-mean-classifier").spec.requires
    assert spec.unmet(requirement) is None
    assert replace(spec, prefix_tokens=0).unmet(requirement) is not None
