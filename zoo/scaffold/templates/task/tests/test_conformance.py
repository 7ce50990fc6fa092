"""What zoo asks of a task and of its head, on a backbone that is made up here: no other plugin is needed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

import zoo
from zoo.interfaces import FeatureSpec, TypedConfig
from zoo.interfaces.features import Features
from zoo.interfaces.model import Model
from zoo.spec import ArchitectureSpec
from zoo.testing import HeadConformance, TaskConformance


@dataclass(frozen=True, kw_only=True)
class BackboneConfig(TypedConfig):
    channels: int = 12

    def feature_specs(self) -> tuple[FeatureSpec, ...]:
        return (FeatureSpec(name="pooled", channels=self.channels, kind="vector", modality="image"),)


class Backbone(Model):
    config: BackboneConfig

    def __init__(self, config: BackboneConfig) -> None:
        super().__init__(config)
        self.convolution = nn.Conv2d(3, config.channels, 8, stride=8)

    def forward(self, pixel_values: Tensor) -> Features:
        return Features(vector=self.convolution(pixel_values).mean(dim=(-2, -1)))

    def init_weights(self, generator: torch.Generator) -> None:
        for parameter in self.parameters():
            nn.init.normal_(parameter, std=0.1, generator=generator)


zoo.register(  # in this process alone
    ArchitectureSpec(
        name="backbone-of-this-test",
        config=f"{__name__}:BackboneConfig",
        model=f"{__name__}:Backbone",
        modality="image",
        default_task="zoo-sdk:image-classification",
        preprocessor="zoo-sdk:image",
        model_types=("backbone-of-this-test",),
    )
)


class TestTinytask(TaskConformance):
    task = "zoo-tinytask:tinytask"


class TestTinytaskRegressor(HeadConformance):
    head = "zoo-tinytask:tinytask-regressor"
    architecture = "backbone-of-this-test"

    def target(self, batch: int, size: Any) -> Tensor:
        return torch.arange(batch) / batch


def test_the_pipeline_gives_what_the_model_computes(tmp_path: Path) -> None:
    model = zoo.create({"model_type": "backbone-of-this-test"}, task="tinytask", seed=0)
    zoo.save(model, tmp_path)
    (tmp_path / "preprocessor_config.json").write_text('{"image_processor_type": "ViTImageProcessor"}')
    images = [Image.new("RGB", (40, 30), colour) for colour in ("black", "white")]
    dark, bright = zoo.pipeline("tinytask", tmp_path)(images)
    with torch.inference_mode():
        expected = model({"pixel_values": torch.full((1, 3, 224, 224), -1.0)}).score.item()
    assert abs(dark.score - expected) < 1e-5
    assert dark.score != bright.score
