"""The image preprocessor beside transformers' processors on Pillow: equal to the last bit."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from transformers.models.beit.image_processing_pil_beit import BeitImageProcessorPil
from transformers.models.bit.image_processing_pil_bit import BitImageProcessorPil
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.deit.image_processing_pil_deit import DeiTImageProcessorPil
from transformers.models.dpt.image_processing_pil_dpt import DPTImageProcessorPil
from transformers.models.segformer.image_processing_pil_segformer import SegformerImageProcessorPil
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

from zoo.checkpoint.files import DirectoryFiles
from zoo.preprocess.image import ImagePreprocessor

SIZES = [(37, 53), (64, 48), (51, 51), (1, 1), (3, 90)]
"""Height and width."""


def picture(height: int, width: int) -> Image.Image:
    values = np.random.default_rng(height * 1000 + width).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(values)


def assert_same(processor: Any, directory: Path, sizes: list[tuple[int, int]] = SIZES) -> None:
    """Ours is made from the file that the reference writes."""
    processor.save_pretrained(directory)
    ours = ImagePreprocessor.from_files(DirectoryFiles(directory), {})
    assert ours is not None
    for size in sizes:
        image = picture(*size)
        expected = np.asarray(processor(image)["pixel_values"][0])
        [item] = ours([image])
        assert item.pixel_values.dtype == np.float32
        np.testing.assert_array_equal(item.pixel_values, expected.astype(np.float32), err_msg=str(size))
    written = (directory / "preprocessor_config.json").read_bytes()
    assert ours.files() == {"preprocessor_config.json": written}


@pytest.mark.parametrize(
    "processor",
    [
        ViTImageProcessorPil,
        DeiTImageProcessorPil,
        BeitImageProcessorPil,
        SegformerImageProcessorPil,
        DPTImageProcessorPil,
        BitImageProcessorPil,
        CLIPImageProcessorPil,
    ],
)
def test_defaults(processor, tmp_path):
    assert_same(processor(), tmp_path)


@pytest.mark.parametrize("processor", [ViTImageProcessorPil, BitImageProcessorPil, DPTImageProcessorPil])
def test_a_file_that_says_nothing_has_the_defaults_of_its_class(processor):
    name = processor.__name__.removesuffix("Pil")
    for key, suffix in (("image_processor_type", ""), ("image_processor_type", "Fast")):
        ours = ImagePreprocessor.from_config({key: name + suffix})
        [item] = ours([picture(40, 60)])
        np.testing.assert_array_equal(item.pixel_values, processor()(picture(40, 60))["pixel_values"][0])


@pytest.mark.parametrize("resample", range(6))
@pytest.mark.parametrize(
    "size",
    [
        {"height": 24, "width": 32},
        {"shortest_edge": 20},
        {"shortest_edge": 20, "longest_edge": 33},
        {"max_height": 31, "max_width": 47},
        23,
        [19, 29],
    ],
    ids=str,
)
def test_sizes_and_filters(size, resample, tmp_path):
    assert_same(ViTImageProcessorPil(size=size, resample=resample), tmp_path)


@pytest.mark.parametrize(
    "crop", [{"height": 16, "width": 21}, {"height": 50, "width": 15}, {"height": 77, "width": 78}]
)
@pytest.mark.parametrize("resizes", [False, True])
def test_crops_smaller_and_larger_than_the_image(crop, resizes, tmp_path):
    processor = ViTImageProcessorPil(do_center_crop=True, crop_size=crop, do_resize=resizes, size={"shortest_edge": 30})
    assert_same(processor, tmp_path)


@pytest.mark.parametrize(("rescales", "normalises"), list(itertools.product([False, True], repeat=2)))
def test_values(rescales, normalises, tmp_path):
    processor = ViTImageProcessorPil(
        do_rescale=rescales,
        do_normalize=normalises,
        rescale_factor=1 / 127.5,
        image_mean=[0.1, 0.45, 1.2],
        image_std=[0.3, 0.77, 2.1],
    )
    assert_same(processor, tmp_path)


def test_padding_to_a_size(tmp_path):
    processor = ViTImageProcessorPil(do_resize=False, do_pad=True, pad_size={"height": 70, "width": 91})
    assert_same(processor, tmp_path)


@pytest.mark.parametrize("processor", [BeitImageProcessorPil, SegformerImageProcessorPil])
def test_steps_that_a_class_does_not_have_are_left_out(processor, tmp_path):
    assert_same(processor(do_pad=True, pad_size={"height": 300, "width": 300}), tmp_path)


def test_settings_are_taken_from_a_processor_in_memory():
    processor = DPTImageProcessorPil()
    ours = ImagePreprocessor.from_config(processor.to_dict())
    expected = processor(picture(40, 60))["pixel_values"][0]
    np.testing.assert_array_equal(ours([picture(40, 60)])[0].pixel_values, expected)


@pytest.mark.parametrize("keeps_shape", [False, True])
@pytest.mark.parametrize("multiple", [1, 14, 32])
def test_multiples_as_for_depth(keeps_shape, multiple, tmp_path):
    processor = DPTImageProcessorPil(
        size={"height": 70, "width": 90}, keep_aspect_ratio=keeps_shape, ensure_multiple_of=multiple
    )
    sizes = SIZES[:-1] if keeps_shape else SIZES  # the last would be 0 pixels high, where the reference fails
    assert_same(processor, tmp_path, sizes)


def test_padding_to_multiples_as_for_depth(tmp_path):
    assert_same(DPTImageProcessorPil(do_resize=False, do_pad=True, size_divisor=14), tmp_path)


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "CMYK", "1", "YCbCr"])
def test_colours_become_red_green_and_blue(mode, tmp_path):
    """With do_convert_rgb transparency is put on white."""
    image = picture(20, 30).convert(mode)
    if "A" in mode:
        image.putalpha(Image.fromarray(np.arange(600, dtype=np.uint16).reshape(20, 30).astype(np.uint8)))
    processor = ViTImageProcessorPil(do_convert_rgb=True)
    ours = ImagePreprocessor.from_config({"image_processor_type": "ViTImageProcessor", "do_convert_rgb": True})
    np.testing.assert_array_equal(ours([image])[0].pixel_values, processor(image)["pixel_values"][0])


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK"])
def test_files_without_do_convert_rgb_are_read_as_the_reference_reads_them(mode, tmp_path):
    path = tmp_path / ("image.tiff" if mode == "CMYK" else "image.png")
    image = picture(20, 30).convert(mode)
    if mode == "RGBA":
        image.putalpha(77)
    image.save(path)
    ours = ImagePreprocessor.from_config({"image_processor_type": "ViTImageProcessor"})
    expected = ViTImageProcessorPil()(str(path))["pixel_values"][0]
    np.testing.assert_array_equal(ours([path])[0].pixel_values, expected)


def test_an_old_file(tmp_path):
    """As microsoft/swin-tiny-patch4-window7-224 has it."""
    values = {
        "do_normalize": True,
        "do_resize": True,
        "feature_extractor_type": "ViTFeatureExtractor",
        "image_mean": [0.485, 0.456, 0.406],
        "image_std": [0.229, 0.224, 0.225],
        "resample": 3,
        "size": 224,
    }
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(values))
    ours = ImagePreprocessor.from_files(DirectoryFiles(tmp_path), {})
    assert ours is not None
    processor = ViTImageProcessorPil.from_pretrained(tmp_path)
    np.testing.assert_array_equal(
        ours([picture(40, 60)])[0].pixel_values, processor(picture(40, 60))["pixel_values"][0]
    )
