"""Swin on disk: the Hub's classes both ways, and the names of the authors and of timm."""

from __future__ import annotations

import json

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

import zoo
from zoo import ConfigError
from zoo.testing import assert_logits_agree, assert_same_tensors
from zoo_swin import keys


@pytest.mark.parametrize("kind", ["Model", "ForImageClassification"])
def test_loading_and_saving_gives_the_same_files(tmp_path, reference, kind):
    _, directory = reference.save(tmp_path / "theirs", kind)
    ours, _ = zoo.load(directory, task=None if kind == "Model" else "image-classification")
    zoo.save(ours, tmp_path / "ours")
    assert_same_tensors(tmp_path / "ours", directory)
    read = [json.loads((each / "config.json").read_text()) for each in (directory, tmp_path / "ours")]
    assert read[1] == read[0]


def test_transformers_reads_what_zoo_writes(tmp_path, reference, images):
    config = reference.config("small")
    names = ("cat", "dog", "crane", "crane")  # as in ImageNet, two labels have one name
    values = config.to_dict() | {"id2label": {str(index): name for index, name in enumerate(names)}}
    ours = zoo.create(values)
    zoo.save(ours, tmp_path)
    theirs, info = transformers.AutoModelForImageClassification.from_pretrained(tmp_path, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"]
    assert theirs.config.id2label == {0: "cat", 1: "dog", 2: "crane", 3: "crane"}
    with torch.inference_mode():
        expected = theirs.eval()(images(2, 97, 101)).logits
        assert_logits_agree(ours({"pixel_values": images(2, 97, 101)}).logits, expected)


def test_the_backbone_of_a_classifier_is_loaded_alone(tmp_path, reference, images):
    theirs, directory = reference.save(tmp_path)
    ours, _ = zoo.load(directory, task=None)
    assert "head.weight" not in ours.state_dict()
    assert set(ours.origin.report.ignored) == {"classifier.weight", "classifier.bias"}
    with torch.inference_mode():
        base = getattr(theirs, reference.version)
        assert_logits_agree(ours(images(1, 96, 96)).vector, base(images(1, 96, 96)).pooler_output)


def test_the_backbone_of_masked_image_modelling_is_read(tmp_path, reference):
    _, directory = reference.save(tmp_path, "ForMaskedImageModeling", encoder_stride=32)
    ours, _ = zoo.load(directory, task=None)
    assert set(ours.origin.report.ignored) == {
        "decoder.0.weight",
        "decoder.0.bias",
        f"{reference.version}.embeddings.mask_token",
    }


def test_a_classifier_of_no_labels_is_a_backbone(tmp_path, reference, images):
    theirs, directory = reference.save(tmp_path, num_labels=0)
    ours, _ = zoo.load(directory, task=None)
    with torch.inference_mode():
        assert_logits_agree(ours(images(1, 96, 96)).vector, theirs(images(1, 96, 96)).logits)
    with pytest.raises(zoo.UntrainedHead, match="the checkpoint has no head"):
        zoo.load(directory, task="image-classification")
    zoo.save(ours, tmp_path / "saved")
    again, _ = zoo.load(tmp_path / "saved", task=None)
    assert all(torch.equal(tensor, again.state_dict()[name]) for name, tensor in ours.state_dict().items())


def test_old_files_with_relative_positions_are_read_with_a_reason(tmp_path, reference):
    _, directory = reference.save(tmp_path)
    stored = load_file(directory / "model.safetensors")
    name = f"{reference.version}.encoder.layers.0.blocks.0.attention.self.relative_position_index"
    stored[name] = torch.zeros(9, 9, dtype=torch.int64)
    save_file(stored, directory / "model.safetensors", metadata={"format": "pt"})
    ours, _ = zoo.load(directory)
    assert ours.origin.report.ignored == {name: keys._POSITIONS}


def test_a_state_dict_of_transformers_in_memory_is_read(tmp_path, reference, images):
    theirs, directory = reference.save(tmp_path)
    (directory / "model.safetensors").unlink()
    torch.save(theirs.state_dict(), directory / "pytorch_model.bin")
    ours, _ = zoo.load(directory)
    with torch.inference_mode():
        expected = theirs(images(1, 96, 96)).logits
        assert_logits_agree(ours({"pixel_values": images(1, 96, 96)}).logits, expected)


@pytest.mark.parametrize("dialect", ["microsoft", "timm"])
@pytest.mark.parametrize("kind", ["Model", "ForImageClassification"])
def test_the_names_of_the_authors_and_of_timm_are_read_and_written_exactly(
    tmp_path, reference, images, to_original_names, dialect, kind
):
    changes = {"pretrained_window_sizes": [0, 0, 0, 0]} if reference.version == "swinv2" else {}
    theirs, hub = reference.save(tmp_path / "hub", kind, **changes)
    original = to_original_names(load_file(hub / "model.safetensors"), timm=dialect == "timm", stages=4)
    directory = tmp_path / "original"
    directory.mkdir()
    save_file(original, directory / "model.safetensors")
    (directory / "config.json").write_text(json.dumps({"architecture": "swinv2_test_window3_96"}))
    task = None if kind == "Model" else "image-classification"
    ours, _ = zoo.load(directory, task=task)
    zoo.save(ours, tmp_path / "saved")
    assert_same_tensors(tmp_path / "saved", hub)
    with torch.inference_mode():
        pixels = images(2, 97, 101)
        if task:
            assert_logits_agree(ours({"pixel_values": pixels}).logits, theirs(pixels).logits)
        else:
            assert_logits_agree(ours(pixels).vector, theirs(pixels).pooler_output)
    key_map = getattr(keys, dialect)(zoo.interfaces.LayoutConfigs(architecture=ours.config))
    ours_named = {("" if task else "backbone.") + name: tensor for name, tensor in ours.state_dict().items()}
    matches, unclaimed = key_map.match_model(ours_named)
    assert not unclaimed
    written = {}
    for match in matches:
        written |= dict(
            zip(match.stored, match.operation.save([ours_named[name] for name in match.model]), strict=True)
        )
    assert set(written) == set(original)
    assert all(torch.equal(written[name], tensor) for name, tensor in original.items())


def test_the_authors_files_of_v2_tell_windows_images_and_what_they_were_trained_with(tmp_path, to_original_names):
    config = transformers.Swinv2Config(
        embed_dim=8,
        depths=[2, 2],
        num_heads=[1, 2],
        window_size=6,
        image_size=48,
        pretrained_window_sizes=[4, 3],
        num_labels=3,
    )
    torch.manual_seed(0)
    theirs = transformers.Swinv2ForImageClassification(config)
    theirs.save_pretrained(tmp_path / "hub")
    original = to_original_names(load_file(tmp_path / "hub" / "model.safetensors"), timm=False, stages=2)
    for stage, layer in enumerate(theirs.swinv2.encoder.layers):
        for index, block in enumerate(layer.blocks):
            attention = block.attention.self
            name = f"layers.{stage}.blocks.{index}"
            original[f"{name}.attn.relative_coords_table"] = attention.relative_coords_table.clone()
            original[f"{name}.attn.relative_position_index"] = attention.relative_position_index.clone()
    original["layers.0.blocks.1.attn_mask"] = torch.zeros(4, 36, 36)
    torch.save({"model": original}, tmp_path / "swinv2.pth")
    ours, _ = zoo.load(tmp_path / "swinv2.pth")
    read = ours.config
    assert (read.window_size, read.image_size, read.pretrained_window_sizes) == (6, 48, (4, 3))
    assert (read.depths, read.num_heads, read.embed_dim, read.mlp_ratio) == ((2, 2), (1, 2), 8, 4.0)
    pixels = torch.randn(2, 3, 48, 60)
    with torch.inference_mode():
        assert_logits_agree(ours({"pixel_values": pixels}).logits, theirs.eval()(pixels).logits)


def test_a_v2_whose_windows_nothing_tells_is_refused_with_the_cure(tmp_path, to_original_names):
    config = transformers.Swinv2Config(embed_dim=8, depths=[1, 1], num_heads=[1, 2], window_size=3, image_size=48)
    transformers.Swinv2Model(config).save_pretrained(tmp_path / "hub")
    original = to_original_names(load_file(tmp_path / "hub" / "model.safetensors"), timm=True, stages=2)
    torch.save(original, tmp_path / "swinv2.pth")
    with pytest.raises(ConfigError, match="don't tell the size of the windows") as caught:
        zoo.load(tmp_path / "swinv2.pth", task=None)
    assert "swinv2_tiny_window8_256" in (caught.value.hint or "")
