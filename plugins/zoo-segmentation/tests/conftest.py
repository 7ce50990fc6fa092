"""UperNet with Swin as transformers writes it."""

from __future__ import annotations

import pytest
import torch
import transformers
from torch import nn

from zoo.testing import shake

SHAPES = {
    "tiny": {"embed_dim": 12, "depths": [2, 2, 2, 2], "num_heads": [1, 2, 4, 8]},
    "small": {"embed_dim": 12, "depths": [2, 2, 4, 2], "num_heads": [1, 2, 4, 8]},
    "base": {"embed_dim": 16, "depths": [2, 2, 3, 2], "num_heads": [2, 4, 8, 16]},
    "large": {"embed_dim": 24, "depths": [2, 2, 2, 2], "num_heads": [2, 4, 8, 16]},
}
"""The published sizes, scaled down."""

STAGES = ["stage1", "stage2", "stage3", "stage4"]


def shake_statistics(model: nn.Module) -> None:
    """Give batch norms running statistics that are neither 0 nor 1, and a count of batches."""
    generator = torch.Generator().manual_seed(1)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(std=0.2, generator=generator)
            module.running_var.uniform_(0.5, 2.0, generator=generator)
            module.num_batches_tracked.fill_(12345)


class Reference:
    """UperNet of transformers, with shaken weights and statistics."""

    def model(self, shape: str = "tiny", *, version: str = "swin", backbone=(), **changes):
        backbone_class = transformers.Swinv2Config if version == "swinv2" else transformers.SwinConfig
        backbone_values = {"image_size": 96, "window_size": 3, "out_features": STAGES, **SHAPES[shape]}
        config = transformers.UperNetConfig(
            backbone_config=backbone_class(**(backbone_values | dict(backbone))),
            **({"hidden_size": 16, "auxiliary_channels": 8, "num_labels": 5} | changes),
        )
        torch.manual_seed(0)
        model = transformers.UperNetForSemanticSegmentation(config).eval()
        shake(model)
        shake_statistics(model)
        return model

    def save(self, directory, shape: str = "tiny", **changes):
        """The model, and the directory that it was written to by transformers itself."""
        model = self.model(shape, **changes)
        model.save_pretrained(directory)
        return model, directory


@pytest.fixture
def reference():
    return Reference()


@pytest.fixture
def images():
    """Of any size: called with (batch, height, width)."""
    return lambda *size: torch.randn(size[0], 3, *size[1:], generator=torch.Generator().manual_seed(size[1]))


@pytest.fixture
def targets():
    """Labels of pixels: called with (labels, batch, height, width); a sixth of the pixels has none."""

    def make(labels, *size):
        generator = torch.Generator().manual_seed(size[1])
        target = torch.randint(labels, size, generator=generator)
        target[torch.rand(size, generator=generator) < 1 / 6] = 255
        return target

    return make
