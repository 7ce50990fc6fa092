"""Pairs that no plugin brings a layout for: composed, saved with a section in config.json, and loaded again."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

import pytest
import torch
from torch import nn

import zoo
from zoo.interfaces import NeckConfig, TypedConfig
from zoo.interfaces.head import Head
from zoo.interfaces.neck import Neck
from zoo.registry import registry
from zoo.spec import FeatureRequirement, HeadSpec, NeckSpec, TaskSpec
from zoo.tasks.classification import ClassificationOutput
from zoo.testing import assert_same_tensors

TINY = {
    "model_type": "swin",
    "embed_dim": 8,
    "depths": [1, 1, 1, 1],
    "num_heads": [1, 1, 1, 1],
    "image_size": 64,
    "window_size": 2,
}


@dataclass(frozen=True, kw_only=True)
class DenseConfig(TypedConfig):
    """Of the invented head."""

    labels: tuple[str, ...] = ("LABEL_0", "LABEL_1")
    channels: int = 6


class DenseHead(Head):
    """The two maps that it asks for, normalised with running statistics and scored."""

    def __init__(self, features, config):
        super().__init__(features, config)
        self.projections = nn.ModuleList(nn.Conv2d(feature.channels, config.channels, 1) for feature in features)
        self.norm = nn.BatchNorm2d(config.channels)
        self.classifier = nn.Conv2d(config.channels, len(config.labels), 1)

    def forward(self, features, **options):
        assert len(features.maps) == len(self.projections)
        pooled = [
            projection(x).mean((2, 3), keepdim=True)
            for projection, x in zip(self.projections, features.maps, strict=True)
        ]
        return ClassificationOutput(self.classifier(self.norm(sum(pooled))).flatten(1))

    def init_weights(self, generator):
        for parameter in self.parameters():
            nn.init.normal_(parameter, std=0.1, generator=generator)


@dataclass(frozen=True, kw_only=True)
class ScaleConfig(NeckConfig):
    """Of the invented neck."""

    scale: float = 2.0

    def feature_specs(self, features):
        return tuple(replace(feature, name=f"scaled_{feature.name}") for feature in features)


class Scale(Neck):
    """Every map times a vector."""

    def __init__(self, features, config):
        super().__init__(features, config)
        self.weights = nn.ParameterList(torch.empty(feature.channels) for feature in features)

    def forward(self, features):
        scaled = [x * weight[:, None, None] for x, weight in zip(features.maps, self.weights, strict=True)]
        return replace(features, maps=tuple(scaled))

    def init_weights(self, generator):
        for weight in self.weights:
            nn.init.constant_(weight, self.config.scale)


SPECS = [
    TaskSpec(name="invented-task", inputs="", outputs="", default_heads={"map": "invented-head"}),
    HeadSpec(
        name="invented-head",
        task="invented-task",
        head=f"{__name__}:DenseHead",
        config=f"{__name__}:DenseConfig",
        requires=FeatureRequirement(kind="map", modality="image", strides=(8, 16)),
    ),
    NeckSpec(
        name="invented-neck",
        neck=f"{__name__}:Scale",
        config=f"{__name__}:ScaleConfig",
        requires=FeatureRequirement(kind="map", modality="image"),
    ),
]


@pytest.fixture(autouse=True)
def _registered():
    catalogs = [registry().tasks, registry().heads, registry().necks]
    before = [catalog.entries() for catalog in catalogs]
    for spec in SPECS:
        registry().register(spec)
    yield
    for catalog, entries in zip(catalogs, before, strict=True):
        catalog.replace(entries)


@pytest.fixture
def pixels():
    return torch.randn(2, 3, 64, 48, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("neck", [None, "invented-neck"])
def test_a_new_pair_is_saved_and_loaded_again_exactly(tmp_path, pixels, neck):
    model = zoo.create(TINY, task="invented-task", neck=neck, labels=["cat", "dog", "owl"])
    model.head.norm.running_mean.fill_(0.25)
    zoo.save(model, tmp_path / "first")
    loaded, _ = zoo.load(tmp_path / "first")
    assert loaded.task == "invented-task" and loaded.head.config.labels == ("cat", "dog", "owl")
    assert (loaded.neck is None) == (neck is None)
    assert torch.equal(loaded({"pixel_values": pixels}).logits, model({"pixel_values": pixels}).logits)
    assert loaded.head.norm.running_mean.eq(0.25).all() and loaded.head.norm.num_batches_tracked.dtype == torch.int64
    zoo.save(loaded, tmp_path / "second")
    assert_same_tensors(tmp_path / "second", tmp_path / "first")
    assert (tmp_path / "second/config.json").read_bytes() == (tmp_path / "first/config.json").read_bytes()


def test_the_section_names_the_parts_and_other_tools_find_the_labels(tmp_path):
    zoo.save(zoo.create(TINY, task="invented-task", neck="invented-neck", labels=["cat", "dog"]), tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["model_type"] == "swin" and config["id2label"] == {"0": "cat", "1": "dog"}
    assert config["zoo"]["architecture"] == "zoo-swin:swin" and config["zoo"]["version"] == 1
    assert config["zoo"]["neck"] == {"name": "(this process):invented-neck", "config": {"scale": 2.0}}
    assert config["zoo"]["head"]["config"] == {"labels": ["cat", "dog"], "channels": 6}


def test_a_head_is_given_the_maps_that_it_asks_for(pixels):
    model = zoo.create(TINY, task="invented-task")
    assert [feature.stride for feature in model.head.features] == [8, 16]
    assert model({"pixel_values": pixels}).logits.shape == (2, 2)


def test_a_trained_backbone_gets_a_new_head_and_neck_which_are_listed(tmp_path, pixels, caplog):
    zoo.save(zoo.create(TINY, num_labels=3), tmp_path)
    with pytest.raises(zoo.UntrainedHead, match=r"the neck 'invented-neck' and the head 'invented-head' with 2 labels"):
        zoo.load(tmp_path, task="invented-task", neck="invented-neck")
    model, _ = zoo.load(tmp_path, task="invented-task", neck="invented-neck", init_head=True, num_labels=4)
    untrained = set(model.origin.report.untrained)
    assert {"neck.weights.0", "head.classifier.weight", "head.norm.running_var"} <= untrained
    assert not any(name.startswith("backbone.") for name in untrained)
    assert all(weight.eq(2).all() for weight in model.neck.weights)
    assert model.head.norm.running_var.eq(1).all()
    assert model({"pixel_values": pixels}).logits.shape == (2, 4)


def test_parts_of_the_backbone_that_only_another_head_needs_are_left_out(tmp_path):
    zoo.save(zoo.create(TINY), tmp_path)
    model, _ = zoo.load(tmp_path, task="invented-task", init_head=True)
    assert model.backbone.norm is None
    ignored = model.origin.report.ignored
    assert ignored["swin.layernorm.weight"] == "what was asked for has no use for this part of the backbone"
    assert ignored["classifier.weight"] == "it belongs to the head 'image-classifier', which was not asked for"


def test_with_other_labels_only_what_has_another_shape_is_trained_anew(tmp_path):
    trained = zoo.create(TINY, task="invented-task", num_labels=3, seed=5)
    zoo.save(trained, tmp_path)
    with pytest.raises(zoo.UntrainedHead, match="with 7 labels"):
        zoo.load(tmp_path, num_labels=7)
    model, _ = zoo.load(tmp_path, num_labels=7, init_head=True)
    assert set(model.origin.report.untrained) == {"head.classifier.weight", "head.classifier.bias"}
    assert torch.equal(model.head.projections[0].weight, trained.head.projections[0].weight)


def test_other_labels_of_the_same_number_are_names_alone(tmp_path):
    zoo.save(zoo.create(TINY, task="invented-task", num_labels=2), tmp_path)
    model, _ = zoo.load(tmp_path, labels=["yes", "no"])
    assert model.head.config.labels == ("yes", "no") and model.origin.report.untrained == ()


def test_another_neck_makes_neck_and_head_untrained(tmp_path):
    zoo.save(zoo.create(TINY, task="invented-task"), tmp_path)
    with pytest.raises(zoo.UntrainedHead, match="the neck 'invented-neck' and the head"):
        zoo.load(tmp_path, neck="invented-neck")


def test_task_none_gives_the_bare_backbone_of_a_pair(tmp_path):
    zoo.save(zoo.create(TINY, task="invented-task", neck="invented-neck"), tmp_path)
    model, _ = zoo.load(tmp_path, task=None)
    assert isinstance(model, zoo.interfaces.model.Model)
    assert {reason for name, reason in model.origin.report.ignored.items() if name.startswith("neck.")} == {
        "it belongs to the head 'invented-head', which was not asked for"
    }


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda section: section.clear(), r"config\.json: field 'zoo\.version': expected 1, found None"),
        (lambda section: section.update(version=2), r"field 'zoo\.version': expected 1, found int 2"),
        (lambda section: section.update(architecture=5), r"field 'zoo\.architecture': expected a name, found int 5"),
        (lambda section: section.pop("head"), r"field 'zoo\.head': is missing"),
        (lambda section: section.update(neck="x"), r"field 'zoo\.neck': expected .*, found str 'x'"),
        (lambda section: section["head"].update(name="zoo-nowhere:head"), "zoo-nowhere:head"),
        (lambda section: section["head"].update(config=[]), r"field 'zoo\.head\.config': expected an object"),
        (
            lambda section: section["head"]["config"].update(channels="six"),
            r"field 'zoo\.head\.config': DenseConfig: field 'channels': expected int, found str 'six'",
        ),
    ],
)
def test_a_section_that_can_not_be_read_is_refused_with_its_field(tmp_path, change, said):
    zoo.save(zoo.create(TINY, task="invented-task", neck="invented-neck"), tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    change(config["zoo"])
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(zoo.ZooError, match=said):
        zoo.load(tmp_path)


def test_a_task_for_backbones_alone_takes_no_head():
    backbone = zoo.create(TINY, task="image-feature-extraction")
    assert isinstance(backbone, zoo.interfaces.model.Model)
    with pytest.raises(zoo.InvalidInput, match=r"head='invented-head' was given together with the task"):
        zoo.create(TINY, task="image-feature-extraction", head="invented-head")
    llama = {"model_type": "llama", "hidden_size": 8, "num_attention_heads": 1, "num_hidden_layers": 1, "vocab_size": 9}
    with pytest.raises(zoo.CompositionError, match=r"llama can't do 'image-feature-extraction': it is for text"):
        zoo.create(llama, task="image-feature-extraction")
