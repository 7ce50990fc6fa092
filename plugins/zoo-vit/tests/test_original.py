"""Files in the names of the authors and of timm, made of what transformers has saved."""

from __future__ import annotations

import json
import re

import pytest
import torch
from safetensors.torch import load_file, save_file

import zoo
from zoo import ConfigError
from zoo.testing import assert_logits_agree, assert_same_tensors

WIDTH = {"hidden_size": 192, "num_attention_heads": 3, "num_hidden_layers": 2}
"""The least that was published, so that its heads are known."""

RENAMED = (
    (r"^(vit|deit|dinov2|dinov2_with_registers)\.", ""),
    (r"^embeddings\.(cls_token|mask_token|register_tokens)", r"\1"),
    (r"^embeddings\.distillation_token", "dist_token"),
    (r"^embeddings\.position_embeddings", "pos_embed"),
    (r"^embeddings\.patch_embeddings\.projection", "patch_embed.proj"),
    (r"^encoder\.layer", "blocks"),
    (r"layernorm_before", "norm1"),
    (r"layernorm_after", "norm2"),
    (r"layer_scale(.)\.lambda1", r"ls\1.gamma"),
    (r"attention\.output\.dense", "attn.proj"),
    (r"attention\.attention", "attn"),
    (r"intermediate\.dense", "mlp.fc1"),
    (r"(blocks\.\d+)\.output\.dense", r"\1.mlp.fc2"),
    (r"^layernorm", "norm"),
    (r"^(cls_)?classifier", "head"),
    (r"^distillation_classifier", "head_dist"),
)


def original(stored, *, timm):
    """Tensors under the Hub's names, under those of the authors. timm has other ones for a SwiGLU."""
    renamed = {}
    for name, tensor in stored.items():
        for pattern, replacement in RENAMED:
            name = re.sub(pattern, replacement, name)
        name = name.replace("weights_in", "fc1" if timm else "w12").replace("weights_out", "fc2" if timm else "w3")
        renamed[name] = tensor
    for name in [name for name in renamed if ".attn.query." in name]:
        parts = [renamed.pop(name.replace("query", part)) for part in ("query", "key", "value")]
        renamed[name.replace("query", "qkv")] = torch.cat(parts)
    return renamed


@pytest.mark.parametrize("timm", [False, True])
@pytest.mark.parametrize(
    ("name", "kind", "task"),
    [
        ("vit", "ForImageClassification", "image-classification"),
        ("vit", "Model", None),
        ("deit", "ForImageClassificationWithTeacher", "image-classification"),
        ("deit", "Model", None),
        ("dinov2", "Model", None),
        ("dinov2_swiglu", "Model", None),
        ("dinov2_with_registers", "Model", None),
    ],
)
def test_they_are_read_exactly(tmp_path, references, images, name, kind, task, timm):
    reference = references[name]
    changes = WIDTH | {"layer_norm_eps": 1e-6}
    if name.startswith("dinov2_s"):
        changes["mlp_ratio"] = 4
    theirs, hub = reference.save(tmp_path / "hub", kind, **changes)
    stored = {key: each for key, each in load_file(hub / "model.safetensors").items() if not key.startswith("pooler")}
    (tmp_path / "original").mkdir()
    save_file(original(stored, timm=timm), tmp_path / "original" / "model.safetensors")
    (tmp_path / "original" / "config.json").write_text(json.dumps({"architecture": "some_name_of_timm"}))
    ours, _ = zoo.load(tmp_path / "original", task=task)
    assert not ours.origin.report.ignored
    with torch.inference_mode():
        pixels, side = images(1, 61, 70), theirs.config.image_size
        assert ours.config.image_size == side
        if task:
            assert_logits_agree(ours({"pixel_values": pixels}).logits, reference.run(theirs, pixels).logits)
        else:
            assert_logits_agree(ours(pixels).tokens, reference.run(theirs, pixels).last_hidden_state)
    zoo.save(ours, tmp_path / "saved")
    save_file(stored, tmp_path / "expected.safetensors")
    assert_same_tensors(tmp_path / "saved", tmp_path / "expected.safetensors")


def test_a_width_that_does_not_tell_its_heads_is_refused(tmp_path, references):
    _, hub = references["vit"].save(tmp_path / "hub")
    save_file(original(load_file(hub / "model.safetensors"), timm=True), tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ConfigError, match="don't tell the number of heads"):
        zoo.load(tmp_path)
