"""Masks in COCO's run lengths."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from transformers.models.sam.image_processing_pil_sam import _mask_to_rle

import zoo
from zoo_segmentation import rle

# What pycocotools 2.0.11 writes.
RECTANGLE = np.zeros((40, 50), dtype=np.uint8)
RECTANGLE[7:31, 5:41] = 1
PUBLISHED = [
    (np.eye(3, dtype=np.uint8), "013000"),
    (RECTANGLE, "_6h0`0" + "0" * 69 + "Q;"),
    (np.array([[1, 1, 1, 0, 0, 0], [0, 0, 0, 1, 1, 1], [1, 0, 1, 1, 1, 1], [1, 1, 0, 1, 1, 0]]), "01121OOO12O00O0"),
]


@pytest.mark.parametrize(("mask", "counts"), PUBLISHED)
def test_it_is_the_string_of_coco(mask, counts):
    assert rle.encode(mask) == {"size": list(mask.shape), "counts": counts}
    np.testing.assert_array_equal(rle.decode({"size": list(mask.shape), "counts": counts.encode()}), mask)


MASKS = arrays.arrays(np.bool_, st.tuples(st.integers(1, 40), st.integers(1, 40)))


@given(MASKS)
def test_a_mask_comes_back_and_its_counts_are_those_of_the_reference(mask):
    encoded = rle.encode(mask)
    np.testing.assert_array_equal(rle.decode(encoded), mask)
    [reference] = _mask_to_rle(torch.from_numpy(mask)[None])
    np.testing.assert_array_equal(rle.decode(reference), mask)
    assert rle.decode({**encoded, "counts": encoded["counts"].encode()}).dtype == bool


@given(arrays.arrays(np.uint16, st.tuples(st.integers(1, 30), st.integers(1, 30)), elements=st.integers(0, 4)))
def test_all_classes_at_once_are_the_masks_of_each(label_map):
    encoded = rle.encode_labels(label_map)
    assert encoded == {int(value): rle.encode(label_map == value) for value in np.unique(label_map)}


def test_long_runs_take_several_characters():
    mask = np.zeros((3000, 4000), dtype=bool)
    mask[1500:, 2000:] = True
    mask[0, 3999] = True
    encoded = rle.encode(mask)
    assert len(encoded["counts"]) < 15_000
    np.testing.assert_array_equal(rle.decode(encoded), mask)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"size": [2, 2], "counts": ""}, "no string of run lengths"),
        ({"size": [2, 2], "counts": "0o"}, "no string of run lengths"),
        ({"size": [2, 2], "counts": "\x00"}, "no string of run lengths"),
        ({"size": [2, 2], "counts": 4}, "a text or a list"),
        ({"size": [2, 2], "counts": "5"}, "2 x 2 pixels were expected, found 1 that add up to 5"),
        ({"size": [2, 2], "counts": [5, -1]}, "numbers of pixels"),
        ({"size": [2, 2], "counts": ["four"]}, "numbers of pixels"),
        ({"size": [2, 2], "counts": [1.5, 2.5]}, "numbers of pixels"),
        ({"size": [2, 2], "counts": [[2, 2]]}, "numbers of pixels"),
        ({"size": [2, 2], "counts": [2**80]}, "numbers of pixels"),
        ({"size": [0, 0], "counts": [2**62] * 4}, "numbers of pixels"),  # their sum overflows to 0
        ({"size": [3, 5], "counts": "\xe9"}, "no string of run lengths"),
        ({"size": [2**20, 2**20], "counts": [2**20]}, "1048576 x 1048576 pixels"),
        ({"size": [-2, -2], "counts": "4"}, "height and width"),
        ({"counts": "4"}, "height and width"),
    ],
)
def test_what_is_no_mask_is_refused(wrong, message):
    with pytest.raises(zoo.InvalidInput, match=message):
        rle.decode(wrong)


def test_a_mask_has_two_dimensions():
    with pytest.raises(zoo.InvalidInput, match="height, width"):
        rle.encode(np.zeros((1, 2, 2), dtype=bool))
