"""Label maps go where the pixels of their images went."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

import zoo
from zoo.preprocess.image import ImagePreprocessor

KEPT = {"image_processor_type": "ViTImageProcessor", "do_rescale": False, "do_normalize": False, "resample": 0}


@pytest.mark.parametrize(
    "settings",
    [
        {"do_resize": False},
        # Sizes for which no position's middle lies on the edge of a pixel, which rounding might put on either side.
        {"size": {"height": 32, "width": 40}},
        {"size": {"height": 96, "width": 120}},
        {"size": {"shortest_edge": 24}, "do_center_crop": True, "crop_size": {"height": 20, "width": 20}},
        {"do_resize": False, "do_center_crop": True, "crop_size": {"height": 60, "width": 40}},
    ],
)
def test_a_label_map_follows_an_image_that_has_its_values(settings):
    preprocessor = ImagePreprocessor.from_config(KEPT | settings)
    labels = np.random.default_rng(0).integers(1, 200, (48, 60), dtype=np.uint8)
    items = preprocessor([np.repeat(labels[..., None], 3, axis=2)])
    expected = preprocessor.collate(items)["pixel_values"][:, 0].long()
    target = preprocessor.targets([labels], items, ignore_index=0)  # what an image is padded with
    assert target.dtype == torch.int64
    assert torch.equal(target, expected)


def test_label_maps_come_in_any_form():
    preprocessor = ImagePreprocessor.from_config(KEPT | {"do_resize": False})
    labels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    items = preprocessor([np.zeros((3, 4, 3), dtype=np.uint8)] * 3)
    target = preprocessor.targets([labels, torch.from_numpy(labels), Image.fromarray(labels)], items)
    assert target.shape == (3, 3, 4) and torch.equal(target[0], target[1]) and torch.equal(target[0], target[2])


@pytest.mark.parametrize(
    ("label_maps", "said"),
    [
        ([], "As many label maps as items were expected: 1; found 0"),
        ([np.zeros((4, 3), dtype=np.uint8)], r"label_maps\[0\]: a label map of integers of shape \(3, 4\).*\(4, 3\)"),
        ([np.zeros((3, 4), dtype=np.float32)], "found torch.float32"),
        ([np.zeros((3, 4, 3), dtype=np.uint8)], r"of shape \(3, 4, 3\)"),
    ],
)
def test_what_is_no_label_map_of_the_image_is_refused(label_maps, said):
    preprocessor = ImagePreprocessor.from_config(KEPT | {"do_resize": False})
    items = preprocessor([np.zeros((3, 4, 3), dtype=np.uint8)])
    with pytest.raises(zoo.InvalidInput, match=said):
        preprocessor.targets(label_maps, items)
