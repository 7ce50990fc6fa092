"""What a person may pass for an image, what strangers' files may not do, and the way back to the original's pixels."""

from __future__ import annotations

import contextlib
import io
import struct
import threading
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional

import zoo
from zoo.checkpoint.files import EMPTY_FILES, MemoryFiles
from zoo.preprocess.image import ImagePreprocessor

NAME = "preprocessor_config.json"


def preprocessor(**values: Any) -> ImagePreprocessor:
    return ImagePreprocessor.from_config({"image_processor_type": "ViTImageProcessor", **values})


@pytest.fixture
def as_is() -> ImagePreprocessor:
    """Pixels from 0 to 255 as they are."""
    return preprocessor(do_resize=False, do_rescale=False, do_normalize=False)


def rgb(height: int = 5, width: int = 7) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def test_every_form_of_an_image_gives_the_same(as_is, tmp_path):
    values = rgb()
    image = Image.fromarray(values)
    path = tmp_path / "a.png"
    image.save(path)
    forms = [str(path), path, encoded(image), image, values, values.transpose(2, 0, 1), torch.from_numpy(values)]
    forms += [values / 255, torch.from_numpy(values).permute(2, 0, 1).float() / 255, values.astype(np.int64)]
    forms += [values.astype(np.uint16) * 257]
    for item in as_is(forms):
        np.testing.assert_array_equal(item.pixel_values, values.transpose(2, 0, 1))
        assert item.original_size == (5, 7)


@pytest.mark.parametrize("shape", [(2, 12), (2, 12, 1), (1, 2, 12)])
def test_grey_arrays(as_is, shape):
    grey = np.arange(24, dtype=np.uint8).reshape(shape)
    expected = np.broadcast_to(grey.reshape(1, 2, 12), (3, 2, 12))
    np.testing.assert_array_equal(as_is([grey])[0].pixel_values, expected)


def test_sixteen_bits_keep_their_brightness(as_is):
    values = np.linspace(0, 65535, 24).astype(np.uint16).reshape(4, 6)
    expected = np.round(values / 257)
    dark = values // 257  # of which none is above 255
    for form in (dark, dark.astype(">u2"), Image.fromarray(dark)):
        np.testing.assert_array_equal(as_is([form])[0].pixel_values[0], np.round(dark / 257))
    for form in (values, Image.fromarray(values), encoded(Image.fromarray(values))):
        np.testing.assert_array_equal(as_is([form])[0].pixel_values[0], expected)


@pytest.mark.parametrize(
    ("orientation", "turns", "mirrored"),
    [
        (1, 0, False),
        (2, 0, True),
        (3, 2, False),
        (4, 2, True),
        (5, 1, True),
        (6, 3, False),
        (7, 3, True),
        (8, 1, False),
    ],
)
def test_a_photo_is_turned_upright(as_is, orientation, turns, mirrored):
    """turns: to the left, by 90 degrees, of what was mirrored before."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    values = rgb(4, 8)
    upright = np.rot90(values[:, ::-1] if mirrored else values, turns)
    [item] = as_is([encoded(Image.fromarray(values), exif=exif)])
    assert item.original_size == upright.shape[:2]
    np.testing.assert_array_equal(item.pixel_values, upright.transpose(2, 0, 1))


def test_a_broken_note_of_the_camera_does_not_spoil_the_photo(as_is):
    content = encoded(Image.fromarray(rgb()), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    with pytest.warns(UserWarning, match="Corrupt EXIF"):
        assert as_is([content])[0].original_size == (5, 7)


def test_of_an_animation_the_first_picture_is_taken(as_is):
    pictures = [Image.new("RGB", (3, 2), colour) for colour in ("red", "blue")]
    content = encoded(pictures[0], "GIF", save_all=True, append_images=pictures[1:])
    np.testing.assert_array_equal(as_is([content])[0].pixel_values[:, 0, 0], [255, 0, 0])


def test_transparency_is_dropped_or_put_on_white():
    image = Image.new("RGBA", (1, 1), (200, 0, 0, 0))
    settings = {"do_resize": False, "do_rescale": False, "do_normalize": False}
    assert preprocessor(**settings)([image])[0].pixel_values[:, 0, 0].tolist() == [200, 0, 0]
    whitening = preprocessor(**settings, do_convert_rgb=True)
    assert whitening([image])[0].pixel_values[:, 0, 0].tolist() == [255, 255, 255]


def test_a_palette_that_is_transparent_in_places(as_is):
    image = Image.fromarray(rgb()).convert("P")
    transparent = encoded(image, transparency=bytes(range(200)))
    np.testing.assert_array_equal(as_is([transparent])[0].pixel_values, as_is([encoded(image)])[0].pixel_values)


def test_a_large_photo_is_read_without_a_warning(as_is, monkeypatch):
    """Pillow warns from a size on that is below ours; here warnings are errors."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)
    assert as_is([encoded(Image.fromarray(rgb()))])[0].original_size == (5, 7)


def test_threads_that_read_images_leave_the_filters_of_warnings_as_they_are(as_is):
    second_reads, first_is_done = threading.Event(), threading.Event()
    first, second = Image.fromarray(rgb()), Image.fromarray(rgb())
    first.load = lambda: second_reads.wait(60)
    second.load = lambda: second_reads.set() or first_is_done.wait(60)
    before = list(warnings.filters)
    threads = [
        threading.Thread(target=lambda: (as_is([first]), first_is_done.set())),
        threading.Thread(target=lambda: as_is([second])),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    after = list(warnings.filters)
    warnings.filters[:] = before
    assert after == before


def test_every_kind_of_tensor_is_an_image(as_is):
    values = torch.from_numpy(rgb()).permute(2, 0, 1)
    negated = torch.complex(torch.zeros(3, 5, 7), -(values / 255)).conj().imag  # a view that negates when it is read
    for tensor in (negated, (values / 255).requires_grad_(), (values / 255).double(), values.to(torch.uint16) * 257):
        np.testing.assert_array_equal(as_is([tensor])[0].pixel_values, values)
    for tensor in (values.to_sparse(), values.to("meta")):
        with pytest.raises(zoo.InvalidInput, match=r"items\[0\] can't be decoded"):
            as_is([tensor])


# ---- what is refused


def bomb(width: int, height: int) -> bytes:
    """A valid PNG that says how large it is, and is not."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.png", b"", "is empty"),
        ("text.png", b"It says it is a picture.", "is no image in a format that zoo reads"),
        ("cut.jpg", encoded(Image.fromarray(rgb(64, 64)), "JPEG")[:700], "can't be decoded"),
        ("cut.png", encoded(Image.fromarray(rgb(64, 64)))[:2000], "can't be decoded"),
        ("bomb.png", bomb(12_000, 12_000), "12000 x 12000 pixels"),
        ("large.png", bomb(60_000, 60_000), "60000 x 60000 pixels"),
        ("script.eps", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 1 1\n", "is no image in a format"),
    ],
)
def test_a_file_that_is_no_good_image_is_named(as_is, tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(zoo.InvalidInput, match=message) as caught:
        as_is([path])
    assert str(path) in str(caught.value)
    with pytest.raises(zoo.InvalidInput, match=rf"items\[4\] .*{message}"):
        as_is([content], first=4)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "WEBP", "PPM"])
def test_damaged_files_are_read_or_refused_and_nothing_else(as_is, kind):
    content = encoded(Image.fromarray(rgb(20, 30)), kind)
    random = np.random.default_rng(0)
    for _ in range(60):
        damaged = bytearray(content)
        for place in random.integers(0, len(content), 4):
            damaged[place] = random.integers(256)
        damaged[random.integers(0, 60)] = random.integers(256)
        with contextlib.suppress(zoo.InvalidInput):
            as_is([bytes(damaged[: random.integers(1, 2 * len(content))])])


def test_what_is_no_file_is_named(as_is, tmp_path):
    with pytest.raises(zoo.InvalidInput, match=r"no-such\.png"):
        as_is([tmp_path / "no-such.png"])
    with pytest.raises(zoo.InvalidInput, match=str(tmp_path)):
        as_is([tmp_path])
    with pytest.raises(zoo.InvalidInput, match="Download it first"):
        as_is(["https://example.org/a.png"])
    with pytest.raises(zoo.InvalidInput, match="items\\[0\\] is '';"):
        as_is([""])
    with pytest.raises(zoo.InvalidInput, match="a text of 40022 characters, 'data:image/png;base64") as caught:
        as_is(["data:image/png;base64," + "A" * 40_000])
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.full((4, 4, 3), np.nan), "not finite"),
        (np.full((4, 4, 3), 1.5), "values from 0 to 1 were expected"),
        (np.full((4, 4, 3), 1.0000001, dtype=np.float32), "to 1.00000011"),
        (np.full((4, 4, 3), -1), "8 or 16 bits"),
        (np.zeros((5, 5, 2)), "1, 3 or 4 channels"),
        (np.zeros((1, 2, 3, 4, 5)), "has 5 dimensions"),
        (np.zeros((2, 3, 4, 4)), "list of them"),
        (np.zeros(7), "has 1 dimensions"),
        (np.zeros((0, 4, 3)), "no pixels"),
        (np.full((4, 4), "a"), "values of <U1"),
        (7, "type int"),
        (None, "NoneType"),
    ],
)
def test_values_that_are_no_image_are_refused(as_is, value, message):
    with pytest.raises(zoo.InvalidInput, match=message) as caught:
        as_is([rgb(), value])
    assert "items[1]" in str(caught.value)


def test_an_image_too_narrow_for_its_resizing_is_refused_before_it_is_resized():
    narrow = np.zeros((2, 60_000, 3), dtype=np.uint8)
    with pytest.raises(zoo.InvalidInput, match="too narrow"):
        preprocessor(size={"shortest_edge": 224})([narrow])


@pytest.mark.parametrize(
    ("values", "step"),
    [
        ({"do_center_crop": True, "crop_size": 65_536}, "cropping"),
        ({"do_pad": True, "pad_size": [65_536, 65_536]}, "padding"),
        ({"image_processor_type": "DPTImageProcessor", "do_pad": True, "size_divisor": 65_536}, "padding"),
    ],
)
def test_settings_that_would_fill_the_memory_are_refused(values, step):
    with pytest.raises(zoo.InvalidInput, match=f"{step} would make 65536 x 65536 pixels"):
        preprocessor(do_resize=False, **values)([rgb()])


def test_one_image_is_no_list(as_is):
    for value in ("a.png", rgb(), b"..."):
        with pytest.raises(zoo.InvalidInput, match="Put it in a list"):
            as_is(value)


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"image_processor_type": "BlipImageProcessor"}, "image_processor_type"),
        ({"image_processor_type": None}, "image_processor_type"),
        ({"size": {"longest_edge": 3}}, "size"),
        ({"size": {"height": 0, "width": 3}}, "size"),
        ({"size": {"height": 10**9, "width": 3}}, "size"),
        ({"size": True}, "size"),
        ({"resample": 9}, "resample"),
        ({"resample": True}, "resample"),
        ({"image_mean": [0.5, 0.5]}, "image_mean"),
        ({"image_std": [0.5, 0.0, 0.5]}, "image_std"),
        ({"image_std": [0.5, 1e-50, 0.5]}, "image_std"),
        ({"image_std": float("nan")}, "image_std"),
        ({"do_resize": "yes"}, "do_resize"),
        ({"do_center_crop": True}, "crop_size"),
        ({"do_pad": True}, "pad_size"),
        ({"do_flip_channel_order": True}, "do_flip_channel_order"),
    ],
)
def test_a_wrong_field_is_named(values, field):
    with pytest.raises(zoo.PreprocessorError, match=f"field '{field}'"):
        preprocessor(**values)


def test_files_are_read_or_there_are_none():
    assert ImagePreprocessor.from_files(EMPTY_FILES, {}) is None
    with pytest.raises(zoo.PreprocessorError, match=NAME):
        ImagePreprocessor.from_files(MemoryFiles("(test)", {NAME: b"{"}), {})
    content = b'{"image_processor_type":  "ViTImageProcessor", "something": "unknown"}'
    read = ImagePreprocessor.from_files(MemoryFiles("(test)", {NAME: content}), {})
    assert read is not None
    assert read.files() == {NAME: content}


# ---- batches


def test_images_of_one_size_make_a_batch(as_is):
    items = as_is([rgb(4, 6), rgb(5, 6), rgb(4, 6)])
    assert as_is.batches(items) == [[0, 2], [1]]
    assert as_is.collate([items[0], items[2]])["pixel_values"].shape == (2, 3, 4, 6)
    with pytest.raises(zoo.InvalidInput, match=r"4 x 6, 5 x 6.*\n.*batches"):
        as_is.collate(items)
    with pytest.raises(zoo.InvalidInput, match="no items"):
        as_is.collate([])


# ---- back to the original


def test_without_cropping_a_map_is_interpolated_as_in_the_reference():
    images = preprocessor(size={"height": 32, "width": 48})
    items = images([rgb(37, 53), rgb(90, 11)])
    maps = torch.randn(2, 4, 8, 12, generator=torch.Generator().manual_seed(0))
    for item, given, back in zip(items, maps, images.postprocess(maps, items), strict=True):
        expected = functional.interpolate(given[None], size=item.original_size, mode="bilinear", align_corners=False)
        torch.testing.assert_close(back, expected[0], rtol=0, atol=1e-5)


@pytest.mark.parametrize("crop", [{"height": 6, "width": 9}, {"height": 21, "width": 30}, {"height": 7, "width": 31}])
def test_cropped_and_padded_pixels_come_back_to_where_they_were(as_is, crop):
    values = rgb(12, 17)
    images = preprocessor(do_resize=False, do_rescale=False, do_normalize=False, do_center_crop=True, crop_size=crop)
    items = images([values])
    [back] = images.postprocess(torch.from_numpy(items[0].pixel_values)[None], items, fill=-1)
    seen = (back >= 0).all(dim=0).numpy()
    rows, columns = min(12, crop["height"]), min(17, crop["width"])
    assert back.shape == (3, 12, 17)
    assert seen.sum() == rows * columns
    np.testing.assert_array_equal(back.numpy()[:, seen], values.transpose(2, 0, 1)[:, seen])


@pytest.mark.parametrize(
    "settings",
    [
        {"size": {"height": 32, "width": 48}},
        {"do_resize": False, "do_center_crop": True, "crop_size": {"height": 7, "width": 31}},
    ],
    ids=["resized", "cropped and padded"],
)
def test_bands_are_the_rows_of_the_whole(monkeypatch, settings):
    monkeypatch.setattr("zoo.preprocess.image_bands.BAND_BYTES", 4 * 17 * 5 * 4)  # four rows of 17 pixels
    images = preprocessor(**settings)
    items = images([rgb(15, 17)])
    maps = torch.randn(1, 5, 8, 12, generator=torch.Generator().manual_seed(0))
    bands = list(images.bands(maps[0], items[0], fill=-1))
    assert [first for first, _ in bands] == [0, 4, 8, 12]
    whole = torch.cat([band for _, band in bands]).permute(2, 0, 1)
    torch.testing.assert_close(whole, images.postprocess(maps, items, fill=-1)[0], rtol=0, atol=1e-6)


def test_padding_on_all_sides_is_taken_off():
    images = ImagePreprocessor.from_config(
        {
            "image_processor_type": "DPTImageProcessor",
            "do_resize": False,
            "do_rescale": False,
            "do_normalize": False,
            "do_pad": True,
            "size_divisor": 16,
        }
    )
    values = rgb(12, 17)
    items = images([values])
    assert items[0].pixel_values.shape == (3, 16, 32)
    [back] = images.postprocess(torch.from_numpy(items[0].pixel_values)[None], items)
    np.testing.assert_array_equal(back.numpy(), values.transpose(2, 0, 1))


def test_labels_are_taken_and_never_mixed():
    images = preprocessor(size={"height": 4, "width": 4})
    items = images([rgb(8, 8)])
    labels = torch.arange(16).reshape(1, 1, 4, 4)
    expected = labels[0].repeat_interleave(2, dim=-1).repeat_interleave(2, dim=-2)
    assert torch.equal(images.postprocess(labels, items)[0], expected)
    assert torch.equal(images.postprocess(labels[:, 0], items)[0], expected[0])  # as argmax over the channels gives


def test_a_folder_of_pictures(as_is, tmp_path: Path):
    for index in range(3):
        Image.fromarray(rgb(2, 2 + index)).save(tmp_path / f"{index}.png")
    assert [item.original_size for item in as_is(sorted(tmp_path.iterdir()))] == [(2, 2), (2, 3), (2, 4)]
