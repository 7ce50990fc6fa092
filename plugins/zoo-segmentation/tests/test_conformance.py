"""The task and the heads keep what every task and head promises."""

from __future__ import annotations

import torch

from zoo.testing import HeadConformance, TaskConformance

SWIN = {"embed_dim": 8, "depths": (1, 1, 1, 1), "num_heads": (1, 2, 2, 2), "image_size": 64, "window_size": 2}
UPERNET = {
    "channels": 8,
    "pool_scales": (1, 2),
    "auxiliary_channels": 6,
    "labels": ("road", "sky", "tree"),
    "auxiliary_convs": 2,
    "auxiliary_concat": True,
}
FPN = {"labels": ("road", "sky", "tree")}


class TestSegmentation(TaskConformance):
    task = "image-segmentation"


class SegmentationHeadConformance(HeadConformance):
    architecture = "swin"
    tiny = SWIN

    def target(self, batch, size):
        """Labels of pixels, of which the later rows have more that don't count."""
        labels = torch.randint(3, (batch, *size), generator=torch.Generator().manual_seed(0))
        for row in range(batch):
            labels[row, : 5 * row] = 255
        return labels


class TestUperNet(SegmentationHeadConformance):
    """With the norms that the Hub's directories have before it."""

    head = "upernet"
    head_config = UPERNET
    neck = "stage-norms"


class TestFPN(SegmentationHeadConformance):
    head = "fpn"
    head_config = FPN
