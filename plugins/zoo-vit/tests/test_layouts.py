"""ViT, DeiT and DINOv2 on disk: the Hub's classes, both ways."""

from __future__ import annotations

import json

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

import zoo
from zoo import ConfigError
from zoo.testing import assert_logits_agree, assert_same_tensors

CLASSES = [
    ("vit", "Model", None),
    ("vit", "ForImageClassification", "image-classification"),
    ("deit", "Model", None),
    ("deit", "ForImageClassification", "image-classification"),
    ("deit", "ForImageClassificationWithTeacher", "image-classification"),
    ("dinov2", "Model", None),
    ("dinov2", "Backbone", None),
    ("dinov2", "ForImageClassification", "image-classification"),
    ("dinov2_swiglu", "Model", None),
    ("dinov2_with_registers", "Model", None),
    ("dinov2_with_registers", "Backbone", None),
    ("dinov2_with_registers", "ForImageClassification", "image-classification"),
]


@pytest.mark.parametrize(("name", "kind", "task"), CLASSES)
def test_loading_and_saving_gives_the_same_files(tmp_path, references, name, kind, task):
    _, directory = references[name].save(tmp_path / "theirs", kind)
    ours, _ = zoo.load(directory, task=task)
    assert not ours.origin.report.ignored
    zoo.save(ours, tmp_path / "ours")
    assert_same_tensors(tmp_path / "ours", directory)
    read = [json.loads((each / "config.json").read_text()) for each in (directory, tmp_path / "ours")]
    assert read[1] == read[0]


@pytest.mark.parametrize(("name", "kind", "task"), CLASSES)
def test_transformers_reads_what_zoo_writes(tmp_path, references, images, name, kind, task):
    reference = references[name]
    theirs, directory = reference.save(tmp_path / "theirs", kind)
    fresh, _ = zoo.load(directory, task=task)
    zoo.save(fresh, tmp_path / "ours")
    loaded, info = type(theirs).from_pretrained(tmp_path / "ours", output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"]
    side = theirs.config.image_size
    with torch.inference_mode():
        first = next(iter(loaded.eval()(images(1, side, side)).to_tuple()))
        expected = next(iter(theirs(images(1, side, side)).to_tuple()))
    for mine, their in zip(*(each if isinstance(each, tuple) else (each,) for each in (first, expected)), strict=True):
        assert_logits_agree(mine, their, 1e-6)


@pytest.mark.parametrize("name", ["vit", "dinov2", "dinov2_with_registers"])
def test_a_fresh_model_is_written_so_that_transformers_reads_it(tmp_path, references, images, name):
    reference = references[name]
    config = reference.model("ForImageClassification").config.to_dict()
    config["architectures"] = [f"{reference.name}ForImageClassification"]
    config |= {"id2label": {"0": "cat", "1": "dog", "2": "crane", "3": "crane"}}
    head = "image-classifier" if name == "vit" else "class-and-mean-classifier"
    ours = zoo.create(config, task="image-classification", head=head)
    zoo.save(ours, tmp_path)
    theirs, info = transformers.AutoModelForImageClassification.from_pretrained(tmp_path, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"]
    assert theirs.config.id2label == {0: "cat", 1: "dog", 2: "crane", 3: "crane"}
    with torch.inference_mode():
        expected = reference.run(theirs.eval(), images(2, 57, 64)).logits
        assert_logits_agree(ours({"pixel_values": images(2, 57, 64)}).logits, expected)


def test_the_backbone_of_a_classifier_is_loaded_alone(tmp_path, reference, images):
    theirs, directory = reference.save(tmp_path)
    ours, _ = zoo.load(directory, task=None)
    assert set(ours.origin.report.ignored) == {"classifier.weight", "classifier.bias"}
    with torch.inference_mode():
        expected = reference.run(theirs.base_model, images(1, 56, 56)).last_hidden_state
        assert_logits_agree(ours(images(1, 56, 56)).tokens, expected)


@pytest.mark.parametrize("name", ["vit", "deit"])
def test_a_pooler_is_there_when_the_file_has_one(tmp_path, references, name):
    reference = references[name]
    theirs, directory = reference.save(tmp_path / "pooled", "Model")
    assert zoo.load(directory, task=None)[0].pooler is not None
    plain = type(theirs)(theirs.config, add_pooling_layer=False)
    plain.save_pretrained(tmp_path / "plain")
    ours, _ = zoo.load(tmp_path / "plain", task=None)
    assert ours.pooler is None
    zoo.save(ours, tmp_path / "again")
    assert_same_tensors(tmp_path / "again", tmp_path / "plain")


def test_a_classifier_on_a_backbone_with_a_pooler_is_saved_and_loaded(tmp_path, references, images):
    _, directory = references["vit"].save(tmp_path / "pooled", "Model")
    ours, _ = zoo.load(directory, task="image-classification", init_head=True, num_labels=3)
    zoo.save(ours, tmp_path / "tuned")
    again, _ = zoo.load(tmp_path / "tuned")
    pixels = {"pixel_values": images(1, 32, 32)}
    with torch.inference_mode():
        assert torch.equal(again(pixels).logits, ours(pixels).logits)


@pytest.mark.parametrize("name", ["vit", "deit"])
def test_the_backbone_of_masked_image_modelling_is_read(tmp_path, references, name):
    _, directory = references[name].save(tmp_path, "ForMaskedImageModeling", encoder_stride=8)
    ours, _ = zoo.load(directory, task=None)
    ignored = {"decoder.0.weight", "decoder.0.bias", f"{name}.embeddings.mask_token"}
    assert set(ours.origin.report.ignored) == ignored


@pytest.mark.parametrize("name", ["vit", "deit", "dinov2", "dinov2_with_registers"])
def test_a_state_dict_of_transformers_in_memory_is_read(tmp_path, references, images, name):
    reference = references[name]
    theirs, directory = reference.save(tmp_path)
    (directory / "model.safetensors").unlink()
    torch.save(theirs.state_dict(), directory / "pytorch_model.bin")
    ours, _ = zoo.load(directory)
    with torch.inference_mode():
        expected = reference.run(theirs, images(1, 56, 56)).logits
        assert_logits_agree(ours({"pixel_values": images(1, 56, 56)}).logits, expected)


def test_a_file_without_the_name_of_its_class_is_known_by_its_tensors(tmp_path, reference):
    for kind, task in (("ForImageClassification", "image-classification"), ("Model", None)):
        _, directory = reference.save(tmp_path / kind, kind)
        values = json.loads((directory / "config.json").read_text())
        del values["architectures"]
        (directory / "config.json").write_text(json.dumps(values))
        ours, _ = zoo.load(directory, task=task)
        assert not ours.origin.report.ignored and not ours.origin.report.untrained


def test_the_gate_and_the_value_of_a_swiglu_are_views_of_one_stored_tensor(tmp_path, references):
    _, directory = references["dinov2_swiglu"].save(tmp_path, "Model")
    ours, _ = zoo.load(directory, task=None)
    stored = load_file(directory / "model.safetensors")["encoder.layer.0.mlp.weights_in.weight"]
    mlp = ours.layers[0].mlp
    assert torch.equal(torch.cat([mlp.gate_proj.weight, mlp.up_proj.weight]), stored)
    assert mlp.gate_proj.weight.untyped_storage().data_ptr() == mlp.up_proj.weight.untyped_storage().data_ptr()


def test_a_missing_and_an_unexpected_tensor_are_named(tmp_path, references):
    _, directory = references["dinov2_with_registers"].save(tmp_path)
    stored = load_file(directory / "model.safetensors")
    stored["dinov2_with_registers.embeddings.other"] = stored.pop("dinov2_with_registers.embeddings.register_tokens")
    save_file(stored, directory / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(zoo.ZooError) as caught:
        zoo.load(directory)
    assert "dinov2_with_registers.embeddings.register_tokens" in str(caught.value)
    assert "dinov2_with_registers.embeddings.other" in str(caught.value)


def test_labels_that_a_config_can_not_mean_are_refused(tmp_path, references):
    _, directory = references["dinov2"].save(tmp_path)
    values = json.loads((directory / "config.json").read_text())
    values["id2label"] = {"0": "cat", "2": "dog"}
    (directory / "config.json").write_text(json.dumps(values))
    with pytest.raises(ConfigError, match="Dinov2Config: field 'id2label'"):
        zoo.load(directory)
