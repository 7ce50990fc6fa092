"""Depth estimation under zoo's conformance kit, on a backbone of another package."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from zoo.testing import HeadConformance, TaskConformance


class TestDepthEstimation(TaskConformance):
    task = "depth-estimation"


class TestDepthPyramid(HeadConformance):
    head = "depth-pyramid"
    architecture = "swin"
    tiny = {"embed_dim": 8, "depths": (1, 1), "num_heads": (1, 2), "image_size": 32, "window_size": 4}
    head_config = {"channels": 8}

    def target(self, batch: int, size: Any) -> Tensor:
        depth = torch.rand(batch, *size, generator=torch.Generator().manual_seed(0)) * 10
        depth[:2, :3] = 0  # not known
        return depth
