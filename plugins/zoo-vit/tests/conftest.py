"""Checkpoints of small models with shaken weights, as transformers writes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch
import transformers

from zoo.testing import shake

SIZE = {"hidden_size": 24, "num_hidden_layers": 3, "num_attention_heads": 3, "num_labels": 5}


@dataclass(frozen=True)
class Reference:
    """A family of transformers' classes: what their names begin with, and a small configuration."""

    name: str
    config: str
    values: dict[str, Any]
    interpolates: bool
    """Whether images of other sizes are only taken when asked for."""

    def model(self, kind: str, **changes: Any) -> Any:
        """kind: "Model", "ForImageClassification", ..."""
        torch.manual_seed(0)
        config = getattr(transformers, self.config)(**(SIZE | self.values | changes))
        model = getattr(transformers, f"{self.name}{kind}")(config).eval()
        shake(model)
        return model

    def save(self, directory: Any, kind: str = "ForImageClassification", **changes: Any) -> tuple[Any, Any]:
        """The model, and the directory that it was written to by transformers itself."""
        model = self.model(kind, **changes)
        model.save_pretrained(directory)
        return model, directory

    def run(self, model: Any, pixel_values: torch.Tensor, **options: Any) -> Any:
        """What the reference computes, for an image of any size."""
        if self.interpolates:
            options["interpolate_pos_encoding"] = True
        return model(pixel_values, **options)


_VIT = {"image_size": 32, "patch_size": 8, "intermediate_size": 40}
_DINOV2 = {"image_size": 56, "patch_size": 14, "mlp_ratio": 2, "layerscale_value": 0.5}
REFERENCES = {
    "vit": Reference("ViT", "ViTConfig", _VIT, True),
    "deit": Reference("DeiT", "DeiTConfig", _VIT, True),
    "dinov2": Reference("Dinov2", "Dinov2Config", _DINOV2, False),
    "dinov2_swiglu": Reference("Dinov2", "Dinov2Config", _DINOV2 | {"use_swiglu_ffn": True}, False),
    "dinov2_with_registers": Reference(
        "Dinov2WithRegisters", "Dinov2WithRegistersConfig", _DINOV2 | {"num_register_tokens": 3}, False
    ),
}


@pytest.fixture(params=REFERENCES)
def reference(request: pytest.FixtureRequest) -> Reference:
    return REFERENCES[request.param]


@pytest.fixture
def references() -> dict[str, Reference]:
    return REFERENCES


@pytest.fixture
def images():
    """Of any size: called with (batch, height, width)."""
    return lambda *size: torch.randn(size[0], 3, *size[1:], generator=torch.Generator().manual_seed(size[1]))
