"""Checkpoints as transformers writes them, and the same weights under the names of the authors and of timm."""

from __future__ import annotations

import re

import pytest
import torch
import transformers

from zoo.testing import shake

SHAPES = {
    "tiny": {"embed_dim": 12, "depths": [2, 2, 2, 2], "num_heads": [1, 2, 4, 8]},
    "small": {"embed_dim": 12, "depths": [2, 2, 4, 2], "num_heads": [1, 2, 4, 8]},
    "base": {"embed_dim": 16, "depths": [2, 2, 3, 2], "num_heads": [2, 4, 8, 16]},
    "large": {"embed_dim": 24, "depths": [2, 2, 2, 2], "num_heads": [2, 4, 8, 16]},
}
"""The published sizes, scaled down."""


class Reference:
    """Models of transformers of one version, with shaken weights."""

    def __init__(self, version: str) -> None:
        self.version = version
        self.prefix = "Swinv2" if version == "swinv2" else "Swin"

    def config(self, shape: str = "tiny", **changes):
        values = {"image_size": 96, "window_size": 3, "num_labels": 5, **SHAPES[shape]}
        if self.version == "swinv2":
            values["pretrained_window_sizes"] = [0, 5, 0, 4]
        return getattr(transformers, f"{self.prefix}Config")(**(values | changes))

    def model(self, kind: str, config):
        """kind: "Model", "ForImageClassification" or "Backbone"."""
        torch.manual_seed(0)
        model = getattr(transformers, f"{self.prefix}{kind}")(config).eval()
        shake(model)
        return model

    def save(self, directory, kind: str = "ForImageClassification", shape: str = "tiny", **changes):
        """The model, and the directory that it was written to by transformers itself."""
        model = self.model(kind, self.config(shape, **changes))
        model.save_pretrained(directory)
        return model, directory


@pytest.fixture(params=["swin", "swinv2"])
def reference(request):
    return Reference(request.param)


@pytest.fixture
def images():
    """Of any size: called with (batch, height, width)."""
    return lambda *size: torch.randn(size[0], 3, *size[1:], generator=torch.Generator().manual_seed(size[1]))


def original_names(stored, *, timm, stages):
    """Tensors under the Hub's names, under those of the authors or of timm. Queries, keys and values are joined."""
    renamed = {}
    for name, tensor in stored.items():
        name = re.sub(r"^(swin|swinv2)\.", "", name)
        for theirs, new in (
            ("embeddings.patch_embeddings.projection", "patch_embed.proj"),
            ("embeddings.norm", "patch_embed.norm"),
            ("embeddings.position_embeddings", "absolute_pos_embed"),
            ("encoder.layers", "layers"),
            ("layernorm_before", "norm1"),
            ("layernorm_after", "norm2"),
            ("attention.output.dense", "attn.proj"),
            ("intermediate.dense", "mlp.fc1"),
            ("output.dense", "mlp.fc2"),
            ("attention.self.continuous_position_bias_mlp", "attn.cpb_mlp"),
            ("attention.self", "attn"),
            ("classifier", "head.fc" if timm else "head"),
        ):
            name = name.replace(theirs, new)
        name = re.sub(r"^layernorm", "norm", name)
        if timm and (found := re.match(r"layers\.(\d+)\.downsample", name)):
            name = name.replace(found[0], f"layers.{int(found[1]) + 1}.downsample")
        renamed[name] = tensor
    for name in [name for name in renamed if name.endswith("attn.query.weight")]:
        attention = name.removesuffix("query.weight")
        parts = {part: renamed.pop(f"{attention}{part}.weight") for part in ("query", "key", "value")}
        renamed[f"{attention}qkv.weight"] = torch.cat(list(parts.values()))
        if f"{attention}key.bias" in renamed:
            renamed[f"{attention}qkv.bias"] = torch.cat(
                [renamed.pop(f"{attention}{part}.bias") for part in ("query", "key", "value")]
            )
        else:
            renamed[f"{attention}q_bias"] = renamed.pop(f"{attention}query.bias")
            renamed[f"{attention}v_bias"] = renamed.pop(f"{attention}value.bias")
    return renamed


@pytest.fixture
def to_original_names():
    return original_names
