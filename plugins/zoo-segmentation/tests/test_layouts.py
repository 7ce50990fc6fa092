"""UperNet on disk: the Hub's directories both ways, their configuration without loss, and what is refused."""

from __future__ import annotations

import json

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

import zoo
from zoo import ConfigError, WeightsMismatch
from zoo.interfaces import LayoutConfigs
from zoo.testing import assert_logits_agree, assert_same_tensors
from zoo_segmentation.layouts import SWINV2

SHAPE = {"embed_dim": 12, "depths": [2, 2, 2, 2], "num_heads": [1, 2, 4, 8]}

UNUSED = {"backbone.swin.layernorm.weight", "backbone.swin.layernorm.bias"}
"""A norm that transformers 5 writes and has no use for; the files on the Hub don't have it."""


def _drop_unused(directory):
    stored = load_file(directory / "model.safetensors")
    kept = {name: tensor for name, tensor in stored.items() if name not in UNUSED}
    save_file(kept, directory / "model.safetensors", metadata={"format": "pt"})


def _config(directory):
    return json.loads((directory / "config.json").read_text())


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"version": "swinv2"},
        {"use_auxiliary_head": False},
        {"num_labels": 300},  # of which 255 is one, and the number that transformers gives pixels without a label
        {"auxiliary_num_convs": 3, "auxiliary_concat_input": True, "auxiliary_in_channels": 48},
    ],
)
def test_loading_and_saving_gives_the_same_files(tmp_path, reference, changes):
    _, directory = reference.save(tmp_path / "theirs", **changes)
    ours, _ = zoo.load(directory)
    zoo.save(ours, tmp_path / "ours")
    assert set(ours.origin.report.ignored) <= UNUSED
    _drop_unused(directory)
    assert_same_tensors(tmp_path / "ours", directory)
    assert _config(tmp_path / "ours") == _config(directory)


def test_what_is_not_understood_is_kept(tmp_path, reference):
    _, directory = reference.save(tmp_path / "theirs")
    values = _config(directory)
    values["quirk"] = {"of": ["somebody"]}
    values["backbone_config"] |= {"quirk": 1, "path_norm": True}
    (directory / "config.json").write_text(json.dumps(values))
    ours, _ = zoo.load(directory)
    zoo.save(ours, tmp_path / "ours")
    assert _config(tmp_path / "ours") == values


def test_transformers_reads_a_fresh_head_on_the_backbone_of_a_classifier(tmp_path, images):
    names = ("sky", "sea", "sand")
    classifier = {"architectures": ["SwinForImageClassification"], "num_labels": 1000, "dtype": "float16"}
    backbone = {"model_type": "swin", "window_size": 3, "image_size": 96, **SHAPE}
    ours = zoo.create(backbone | classifier, task="segmentation", labels=names)
    zoo.save(ours, tmp_path)
    theirs, info = transformers.UperNetForSemanticSegmentation.from_pretrained(tmp_path, output_loading_info=True)
    assert not info["unexpected_keys"] and not info["missing_keys"]
    assert theirs.config.id2label == dict(enumerate(names))
    assert theirs.config.backbone_config.num_labels == 2  # what was said of the classifier is gone
    with torch.inference_mode():
        logits = ours({"pixel_values": images(1, 61, 70)}).logits
        resized = torch.nn.functional.interpolate(logits, (61, 70), mode="bilinear", align_corners=False)
        assert_logits_agree(resized, theirs.eval()(images(1, 61, 70)).logits)
    again, _ = zoo.load(tmp_path, task="segmentation")
    assert (again.config, again.head.config) == (ours.config, ours.head.config)


def test_a_fresh_head_on_swin_v2_has_no_norms_between():
    ours = zoo.create(
        {"model_type": "swinv2", "window_size": 3, "image_size": 96, **SHAPE}, task="segmentation", device="meta"
    )
    written = SWINV2.write_config(LayoutConfigs(architecture=ours.config, head=ours.head.config))
    with torch.device("meta"):
        theirs = transformers.UperNetForSemanticSegmentation(transformers.UperNetConfig(**written))
    assert ours.neck is None
    assert sum(p.numel() for p in ours.parameters()) == sum(p.numel() for p in theirs.parameters())


def test_a_state_dict_of_transformers_in_memory_is_read(tmp_path, reference, images):
    theirs, directory = reference.save(tmp_path)
    expected, _ = zoo.load(directory)
    (directory / "model.safetensors").unlink()
    torch.save(theirs.state_dict(), directory / "pytorch_model.bin")
    ours, _ = zoo.load(directory)
    with torch.inference_mode():
        inputs = {"pixel_values": images(1, 96, 96)}
        assert torch.equal(ours(inputs).logits, expected(inputs).logits)


def test_old_files_with_relative_positions_are_read(tmp_path, reference):
    _, directory = reference.save(tmp_path)
    stored = load_file(directory / "model.safetensors")
    name = "backbone.encoder.layers.0.blocks.0.attention.self.relative_position_index"
    stored[name] = torch.zeros(9, 9, dtype=torch.int64)
    save_file(stored, directory / "model.safetensors", metadata={"format": "pt"})
    ours, _ = zoo.load(directory)
    assert set(ours.origin.report.ignored) == {name, *UNUSED}


def test_a_cast_leaves_the_counts_of_batches_alone(tmp_path, reference):
    _, directory = reference.save(tmp_path)
    ours, _ = zoo.load(directory, dtype="bfloat16")
    assert ours.head.fusion.norm.num_batches_tracked.dtype == torch.int64
    assert ours.head.fusion.norm.num_batches_tracked == 12345
    assert ours.head.fusion.norm.running_var.dtype == torch.bfloat16


def test_the_backbone_of_a_segmenter_is_loaded_alone(tmp_path, reference, images):
    theirs, directory = reference.save(tmp_path)
    ours, _ = zoo.load(directory, task=None)
    assert ours.config.dense
    assert any(name.startswith("decode_head.") for name in ours.origin.report.ignored)
    with torch.inference_mode():
        last = ours(images(1, 96, 96)).maps[-1].permute(0, 2, 3, 1)
        norm = theirs.backbone.hidden_states_norms["stage4"]
        expected = theirs.backbone(images(1, 96, 96)).feature_maps[-1]
        assert_logits_agree(norm(last).permute(0, 3, 1, 2), expected)


def test_a_running_statistic_that_is_missing_is_named(tmp_path, reference):
    _, directory = reference.save(tmp_path)
    stored = load_file(directory / "model.safetensors")
    del stored["decode_head.fpn_bottleneck.batch_norm.running_var"]
    save_file(stored, directory / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(WeightsMismatch, match=r"decode_head\.fpn_bottleneck\.batch_norm\.running_var"):
        zoo.load(directory)


@pytest.mark.parametrize(
    ("changes", "inner", "said"),
    [
        ({"hidden_size": "512"}, {}, "field 'channels': expected int, found str"),
        ({"id2label": {"0": "sky", "2": "sea"}}, {}, "UperNetConfig: field 'id2label'"),
        ({"auxiliary_in_channels": 256}, {}, "field 'auxiliary_in_channels': expected 48, .* 'stage3', or null"),
        ({}, {"out_features": ["stage3", "stage4"]}, r"field 'backbone_config\.out_features': expected \['stage1'"),
        ({}, {"out_features": None, "out_indices": [4]}, r"found list \['stage4'\]"),
        ({}, {"embed_dim": 0}, "field 'backbone_config': SwinConfig: field 'embed_dim'"),
    ],
)
def test_a_bad_configuration_is_refused_by_the_name_of_its_field(tmp_path, reference, changes, inner, said):
    _, directory = reference.save(tmp_path)
    values = _config(directory) | changes
    values["backbone_config"] |= inner
    (directory / "config.json").write_text(json.dumps(values))
    with pytest.raises(ConfigError, match=said) as caught:
        zoo.load(directory)
    assert str(directory / "config.json") in str(caught.value)


def _original_names(stored):
    """Tensors under the Hub's names, under those of Swin's authors. Queries, keys and values are joined."""
    renamed = {}
    for name, tensor in stored.items():
        for theirs, new in (
            ("backbone.hidden_states_norms.stage", "backbone.norm"),
            ("embeddings.patch_embeddings.projection", "patch_embed.proj"),
            ("embeddings.norm", "patch_embed.norm"),
            ("encoder.layers", "layers"),
            ("layernorm_before", "norm1"),
            ("layernorm_after", "norm2"),
            ("attention.output.dense", "attn.proj"),
            ("intermediate.dense", "mlp.fc1"),
            ("output.dense", "mlp.fc2"),
            ("attention.self", "attn"),
            ("batch_norm", "bn"),
            ("classifier", "conv_seg"),
        ):
            name = name.replace(theirs, new)
        if name.startswith("backbone.norm"):  # counted from 0
            number = int(name[len("backbone.norm")])
            name = name.replace(f"norm{number}", f"norm{number - 1}")
        renamed[name] = tensor
    for name in [name for name in renamed if ".attn.query." in name]:
        parts = [renamed.pop(name.replace(".query.", f".{part}.")) for part in ("query", "key", "value")]
        renamed[name.replace(".query.", ".qkv.")] = torch.cat(parts)
    return renamed


@pytest.mark.parametrize(
    "changes", [{}, {"use_auxiliary_head": False}, {"auxiliary_num_convs": 2, "auxiliary_concat_input": True}]
)
def test_the_names_of_the_authors_of_swin_are_read(tmp_path, reference, images, changes):
    theirs, hub = reference.save(tmp_path / "hub", **changes)
    _drop_unused(hub)
    stored = _original_names(load_file(hub / "model.safetensors"))
    torch.save({"meta": {"CLASSES": ("wall", "sky")}, "state_dict": stored}, tmp_path / "upernet.pth")
    ours, _ = zoo.load(tmp_path / "upernet.pth")
    with torch.inference_mode():
        logits = ours({"pixel_values": images(1, 96, 80)}).logits
        resized = torch.nn.functional.interpolate(logits, (96, 80), mode="bilinear", align_corners=False)
        assert_logits_agree(resized, theirs(images(1, 96, 80)).logits)
    zoo.save(ours, tmp_path / "saved")
    assert_same_tensors(tmp_path / "saved", hub)


def test_what_the_tensors_of_an_original_do_not_tell_is_said(tmp_path, reference):
    _, hub = reference.save(tmp_path / "hub", pool_scales=[1, 2])
    _drop_unused(hub)
    torch.save(_original_names(load_file(hub / "model.safetensors")), tmp_path / "upernet.pth")
    with pytest.raises(ConfigError, match="pooled to 2 grids, whose sizes the tensors don't tell"):
        zoo.load(tmp_path / "upernet.pth")
