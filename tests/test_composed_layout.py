"""Pairs that no plugin brings a layout for: composed, saved with a section in config.json, and loaded again."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

import pytest
import torch
from safetensors.torch import load_file, save_file
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

STAGES = ["stage1", "stage2", "stage3", "stage4"]


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
        self.register_buffer("centre", torch.full((config.channels, 1, 1), 0.5))
        self.classifier = nn.Conv2d(config.channels, len(config.labels), 1)

    def forward(self, features, **options):
        assert len(features.maps) == len(self.projections)
        pooled = [
            projection(x).mean((2, 3), keepdim=True)
            for projection, x in zip(self.projections, features.maps, strict=True)
        ]
        return ClassificationOutput(self.classifier(self.norm(sum(pooled)) - self.centre).flatten(1))

    def init_weights(self, generator):
        for parameter in self.parameters():
            nn.init.normal_(parameter, std=0.1, generator=generator)


@dataclass(frozen=True, kw_only=True)
class ScaleConfig(NeckConfig):
    """Of the invented neck."""

    scale: float = 2.0

    def feature_specs(self, features):
        return tuple(replace(feature, name=f"scaled_{feature.name}") for feature in features)


class BrokenConfig(ScaleConfig):
    """Of a neck that raises what it should not."""

    def feature_specs(self, features):
        raise KeyError("stage9")


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
    with pytest.raises(zoo.UntrainedHead, match=r"the neck 'invented-neck' and the head 'invented-head', which"):
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
        "it belongs to the neck 'invented-neck', which was not asked for"
    }


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda section: section.clear(), r"config\.json: field 'zoo\.version': expected 1, found None"),
        (lambda section: section.update(version=2), r"field 'zoo\.version': expected 1, found int 2"),
        (lambda section: section.update(architecture=5), r"field 'zoo\.architecture': expected a name, found int 5"),
        (lambda section: section.pop("head"), r"field 'zoo\.head': is missing"),
        (lambda section: section.update(neck="x"), r"field 'zoo\.neck': expected .*, found str 'x'"),
        (
            lambda section: section["head"].update(name="zoo-nowhere:head"),
            r"config\.json: field 'zoo\.head\.name': There is no head 'zoo-nowhere:head'",
        ),
        (
            lambda section: section["head"].update(name="x" * 9999),
            r"field 'zoo\.head\.name': .* found str 'x{1,60}\.\.\.",
        ),
        (lambda section: section["head"].update(name=["x"]), r"field 'zoo\.head\.name': expected a name, found list"),
        (lambda section: section.update(version=1.0), r"field 'zoo\.version': expected 1, found float 1\.0"),
        (
            lambda section: section.update(neck={"name": "zoo-vit:simple_fpn"}),
            r"config\.json: field 'zoo': The neck 'simple_fpn' needs bidirectional image tokens; swin gives image maps",
        ),
        (
            lambda section: section.update(head={"name": "causal-lm", "config": {"vocab_size": 5}}),
            r"field 'zoo': swin can't do 'text-generation': the head 'causal-lm' needs causal text tokens",
        ),
        (
            lambda section: section.update(head={"name": "causal-lm"}),
            r"field 'zoo\.head\.config': CausalLMHeadConfig: field 'vocab_size' is missing",
        ),
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


def test_another_head_for_the_task_gets_the_labels_and_the_trained_neck(tmp_path):
    trained = zoo.create(TINY, task="segmentation", labels=["sky", "sea", "sand"])
    trained.neck.norms[0].weight.data.fill_(3)
    zoo.save(trained, tmp_path)
    model, _ = zoo.load(tmp_path, head="fpn", init_head=True)
    assert model.head.config.labels == ("sky", "sea", "sand")
    assert model.neck.norms[0].weight.eq(3).all()
    assert all(name.startswith("head.") for name in model.origin.report.untrained)


def test_labels_that_are_given_stand_in_for_the_checkpoints(tmp_path):
    names = [str(number) for number in range(300)]
    head = {"model_type": "upernet", "backbone_config": {**TINY, "out_features": STAGES}, "loss_ignore_index": -100}
    zoo.save(zoo.create({**head, "hidden_size": 4, "auxiliary_channels": 4}, labels=names), tmp_path)
    assert zoo.load(tmp_path, head="fpn", init_head=True)[0].head.config.labels == tuple(names)
    assert zoo.load(tmp_path, head="fpn", init_head=True, num_labels=5)[0].head.config.labels[-1] == "LABEL_4"


def test_another_neck_leaves_the_head_what_it_is(tmp_path):
    head = {"head": "fpn", "labels": ["sky", "sea", "sand"]}
    zoo.save(zoo.create(TINY, task="segmentation", **head), tmp_path)
    with pytest.raises(zoo.UntrainedHead, match=r"has a trained 'fpn' head for 3 labels, behind another neck\."):
        zoo.load(tmp_path, neck="invented-neck")
    model, _ = zoo.load(tmp_path, neck="invented-neck", init_head=True)
    assert model.origin.head == "zoo-segmentation:fpn" and model.head.config.labels == ("sky", "sea", "sand")
    reasons = {why for name, why in model.origin.report.ignored.items() if name.startswith("head.")}
    assert reasons == {"it was trained with another neck"}


def test_labels_of_another_task_are_not_taken_over(tmp_path):
    zoo.save(zoo.create(TINY, task="invented-task", num_labels=7), tmp_path)
    model, _ = zoo.load(tmp_path, task="image-classification", init_head=True)
    assert len(model.head.config.labels) == 2


def test_a_head_says_what_the_task_is():
    model = zoo.create(TINY, head="invented-head", neck="invented-neck")
    assert model.task == "invented-task"


def test_a_head_is_initialised_without_a_draw_from_torchs_own_generator(tmp_path):
    zoo.save(zoo.create(TINY, task=None), tmp_path)
    before = torch.random.get_rng_state()
    heads = [
        zoo.load(tmp_path, task="invented-task", init_head=True, seed=seed, dtype=dtype)[0].head.state_dict()
        for seed, dtype in ((3, "float32"), (3, "bfloat16"), (4, "float32"))
    ]
    assert torch.equal(torch.random.get_rng_state(), before)
    first, rounded, other = (head["classifier.weight"] for head in heads)
    assert torch.equal(first.bfloat16(), rounded) and not torch.equal(first, other)
    assert heads[1]["norm.running_var"].eq(1).all() and heads[1]["norm.num_batches_tracked"].dtype == torch.int64


def test_buffers_of_a_head_are_what_its_constructor_made(tmp_path):
    created = zoo.create(TINY, task="invented-task")
    zoo.save(zoo.create(TINY, task=None), tmp_path)
    loaded, _ = zoo.load(tmp_path, task="invented-task", init_head=True)
    assert created.head.centre.eq(0.5).all() and loaded.head.centre.eq(0.5).all()


@pytest.mark.parametrize("stored", [("embed", "lm_head"), ("lm_head",)])
@pytest.mark.parametrize("task", [None, "text-classification"])
def test_a_tied_head_that_is_stored_too_is_no_obstacle_to_the_backbone(tmp_path, stored, task):
    """As pytorch_model.bin has it, and files of others, which keep one name or the other."""
    llama = {"model_type": "llama", "hidden_size": 8, "num_attention_heads": 1, "num_hidden_layers": 1, "vocab_size": 9}
    model = zoo.create({**llama, "intermediate_size": 8, "tie_word_embeddings": True})
    zoo.save(model, tmp_path)
    file = tmp_path / "model.safetensors"
    tensors = load_file(file)
    embedding = tensors.pop("model.embed_tokens.weight")
    if "embed" in stored:
        tensors["model.embed_tokens.weight"] = embedding.clone()
    save_file({**tensors, "lm_head.weight": embedding}, file)
    loaded, _ = zoo.load(tmp_path, task=task, init_head=True)
    backbone = loaded if task is None else loaded.backbone
    assert torch.equal(backbone.embed_tokens.weight, model.backbone.embed_tokens.weight)


@pytest.mark.parametrize("neck", [None, "invented-neck"])
def test_a_part_that_was_replaced_by_hand_is_not_saved_under_the_old_name(tmp_path, neck):
    model = zoo.create(TINY, task="segmentation", num_labels=2)
    other = zoo.create(TINY, task="segmentation", neck=neck, head="fpn", num_labels=2)
    model.neck = other.neck
    with pytest.raises(zoo.SaveError, match=r"neck is (none|a Scale), but by `model.origin` it is zoo-segmentation:"):
        zoo.save(model, tmp_path)
    model.head = other.head
    model.origin = replace(model.origin, neck=other.origin.neck)
    with pytest.raises(zoo.SaveError, match=r"head is a FPN, but by `model.origin` it is zoo-segmentation:upernet"):
        zoo.save(model, tmp_path)
    model.origin = replace(model.origin, head="fpn")
    zoo.save(model, tmp_path)
    assert zoo.load(tmp_path)[0].origin.head == "zoo-segmentation:fpn"


@pytest.mark.parametrize("task", ["segmentation", "invented-task"])
def test_create_makes_of_a_directory_what_load_does(tmp_path, task):
    """Also of a config.json whose model_type is that of a whole, or whose section names another architecture."""
    made = zoo.create(TINY, task=task, num_labels=4)
    zoo.save(made, tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    if task == "invented-task":
        config["model_type"] = "llama"
    for source in (tmp_path, config):
        created = zoo.create(source)
        assert created.origin == made.origin and created.head.config.labels == made.head.config.labels
    assert {name: tensor.shape for name, tensor in created.state_dict().items()} == {
        name: tensor.shape for name, tensor in made.state_dict().items()
    }


def test_a_part_of_this_process_that_came_into_a_package_is_found_there(tmp_path):
    zoo.save(zoo.create(TINY, task="invented-task"), tmp_path)
    heads = registry().heads
    heads.replace([entry._replace(distribution="zoo-invented") if entry.spec in SPECS else entry for entry in heads])
    assert zoo.load(tmp_path)[0].origin.head == "zoo-invented:invented-head"


def test_a_head_of_the_same_name_from_another_distribution_is_not_written_in_its_layout(tmp_path):
    spec = replace(registry().heads.get("upernet").spec, aliases=())
    registry().register(spec)
    model = zoo.create(TINY, task="segmentation", head="(this process):upernet", num_labels=2)
    assert model.neck is None
    zoo.save(model, tmp_path)
    assert zoo.load(tmp_path)[0].origin.head == "(this process):upernet"


def test_a_broken_neck_is_no_obstacle_to_a_refusal():
    registry().register(replace(SPECS[2], name="broken-neck", config=f"{__name__}:BrokenConfig"))
    with pytest.raises(zoo.CompositionError, match=r"the head 'invented-head' needs image maps at strides 8 and 16"):
        zoo.create({**TINY, "depths": [1], "num_heads": [1]}, task="invented-task")


def test_a_task_for_backbones_alone_takes_no_head():
    backbone = zoo.create(TINY, task="image-feature-extraction")
    assert isinstance(backbone, zoo.interfaces.model.Model)
    with pytest.raises(zoo.InvalidInput, match=r"head='invented-head' was given together with the task"):
        zoo.create(TINY, task="image-feature-extraction", head="invented-head")
    llama = {"model_type": "llama", "hidden_size": 8, "num_attention_heads": 1, "num_hidden_layers": 1, "vocab_size": 9}
    with pytest.raises(zoo.CompositionError, match=r"llama can't do 'image-feature-extraction': it is for text"):
        zoo.create(llama, task="image-feature-extraction")


def test_trained_labels_are_not_given_other_names_in_silence(tmp_path):
    trained = zoo.create(TINY, task="invented-task", labels=["sky", "grass"])
    zoo.save(trained, tmp_path)
    with pytest.raises(zoo.UntrainedHead, match=r"with 2 labels.*for 2 labels, which have other names"):
        zoo.load(tmp_path, labels=["grass", "sky"])
    model, _ = zoo.load(tmp_path, labels=["cat", "dog"], init_head=True)
    assert set(model.origin.report.untrained) == {"head.classifier.weight", "head.classifier.bias"}
    assert torch.equal(model.head.projections[0].weight, trained.head.projections[0].weight)
    assert not torch.equal(model.head.classifier.weight, trained.head.classifier.weight)


def test_so_many_labels_as_there_are_keep_their_names(tmp_path):
    zoo.save(zoo.create(TINY, task="invented-task", labels=["sky", "grass"]), tmp_path)
    model, _ = zoo.load(tmp_path, num_labels=2, init_head=True)
    assert model.head.config.labels == ("sky", "grass") and model.origin.report.untrained == ()


def test_a_model_says_what_it_is_called_with(pixels):
    model = zoo.create(TINY)
    target = torch.tensor([0, 1])
    assert model.count(target)["label"] == 2
    with pytest.raises(zoo.InvalidInput, match=r"inputs: a dictionary .*; found a value of type Tensor"):
        model(pixels)
    inputs = {"pixel_values": pixels}
    for wrong in ({"pixel": 2}, 2, {}):
        with pytest.raises(zoo.InvalidInput, match=r"denominators: numbers called label were expected"):
            model(inputs, target, wrong)
    assert torch.equal(model(inputs, target, {"label": 4}).loss, model(inputs, target).loss / 2)


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ([0, 1], "a tensor of 2 indices was expected, found list"),
        (torch.tensor([0.0, 1.0]), r"found torch\.float32 of shape \(2,\)"),
        (torch.tensor([[0], [1]]), r"of shape \(2, 1\)"),
        (torch.tensor([0, 2]), "0 to 1, were expected; found 0 to 2"),
        (torch.tensor([-1, 0]), "found -1 to 0"),
    ],
)
def test_a_target_that_is_no_labels_is_refused(pixels, target, said):
    with pytest.raises(zoo.InvalidInput, match=said):
        zoo.create(TINY)({"pixel_values": pixels}, target)
