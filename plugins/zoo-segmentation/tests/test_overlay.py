"""Pictures of results: colours over the image, a legend beside it, label maps as images."""

from __future__ import annotations

import os

import numpy as np
import pytest
from PIL import Image

import zoo
from zoo_segmentation import overlay
from zoo_segmentation.palette import class_colours
from zoo_segmentation.result import Segment, Segmentation

LABELS = ("sky", "tree", "road")


def segmentation(label_map: np.ndarray, image: object, labels: tuple[str, ...] = LABELS) -> Segmentation:
    segments = tuple(
        Segment(
            label=labels[index],
            id=index,
            score=0.5,
            area=int((label_map == index).sum()),
            share=float((label_map == index).mean()),
            rle={"size": [], "counts": ""},
        )
        for index in range(len(labels))
        if (label_map == index).any()
    )
    return Segmentation(label_map, segments, dict(enumerate(labels)), image)


@pytest.fixture
def image() -> Image.Image:
    values = np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8)
    return Image.fromarray(values)


@pytest.fixture
def result(image) -> Segmentation:
    label_map = np.full((60, 90), 255, dtype=np.uint8)
    label_map[:20], label_map[20:40] = 1, 2
    return segmentation(label_map, image)


@pytest.mark.parametrize("band_pixels", [1, 2**18])
@pytest.mark.parametrize("alpha", [0, 0.25, 1])
def test_colours_are_mixed_with_what_is_under_them(monkeypatch, image, result, alpha, band_pixels):
    monkeypatch.setattr(overlay, "_BAND_PIXELS", band_pixels)
    before = np.asarray(image).copy()
    picture = np.asarray(result.overlay(alpha, palette=["red", "#00ff00", (0, 0, 255)], legend=False)).astype(float)
    expected = before.astype(float)
    expected[:20] = (1 - alpha) * expected[:20] + alpha * np.array([0, 255, 0])
    expected[20:40] = (1 - alpha) * expected[20:40] + alpha * np.array([0, 0, 255])
    np.testing.assert_allclose(picture, expected, atol=0.51)
    np.testing.assert_array_equal(picture[40:], before[40:], "what is of no class is left as it is")
    np.testing.assert_array_equal(np.asarray(image), before, "the image itself is left as it is")


def test_a_legend_stands_beside_the_image_and_hides_nothing(result):
    plain, with_legend = np.asarray(result.overlay(legend=False)), np.asarray(result.overlay())
    np.testing.assert_array_equal(with_legend[:60, :90], plain)
    beside = {tuple(colour) for colour in with_legend[:, 90:].reshape(-1, 3)}
    tree, road = map(tuple, class_colours(None, LABELS)[1:])
    assert {tree, road, (0, 0, 0), (255, 255, 255)} <= beside
    assert tuple(class_colours(None, LABELS)[0]) not in beside, "there is no sky"


def test_a_legend_of_more_than_there_is_room_for_says_how_many_more(monkeypatch, image):
    labels = tuple(f"class {index}" for index in range(54))
    label_map = np.repeat(np.arange(54, dtype=np.uint8), 100).reshape(60, 90)
    drawn = []
    monkeypatch.setattr(overlay.ImageDraw.ImageDraw, "text", lambda self, place, text, **_: drawn.append(text))
    result = segmentation(label_map, image, labels)
    picture = result.overlay()
    assert drawn[:2] == ["class 0 1.9%", "class 1 1.9%"]
    assert drawn[-1] == f"{54 - (len(drawn) - 1)} more"
    assert picture.height < 200


def test_labels_of_strangers_stay_on_their_line(monkeypatch, image):
    drawn = []
    monkeypatch.setattr(overlay.ImageDraw.ImageDraw, "text", lambda self, place, text, **_: drawn.append(text))
    label_map = np.zeros((60, 90), dtype=np.uint8)
    picture = segmentation(label_map, image, ("a\nb\x1b" + "c" * 10_000,)).overlay()
    assert drawn == ["a b " + "c" * 25 + "... 100.0%"]
    assert picture.width < 500


def test_colours_are_many_and_the_same_whatever_the_number_of_classes():
    many = class_colours(None, [str(index) for index in range(256)])
    assert len({tuple(colour) for colour in many}) == 256
    np.testing.assert_array_equal(many[:3], class_colours(None, LABELS))
    distances = np.abs(many[1:].astype(int) - many[:-1]).sum(axis=1)
    assert distances.min() > 100


def test_some_colours_may_be_named_by_label_or_id():
    colours = class_colours({"tree": "teal", "road": (1, 2, 3)}, LABELS)
    np.testing.assert_array_equal(colours[1:], [[0, 128, 128], [1, 2, 3]])
    np.testing.assert_array_equal(colours[0], class_colours(None, LABELS)[0])
    np.testing.assert_array_equal(class_colours({2: "white"}, LABELS)[2], [255, 255, 255])


@pytest.mark.parametrize(
    ("palette", "message"),
    [
        (["red"], "3 colours were expected, one for each class, found 1"),
        ({"river": "blue"}, "there is no class 'river'"),
        (["red", "green", "no such colour"], "'no such colour' is no colour"),
        ([(0, 0, 256)] * 3, "from 0 to 255"),
        ([(0, 0)] * 3, "from 0 to 255"),
        ([(0.5, 0, 0)] * 3, "from 0 to 255"),
        ([("0", "0", "0")] * 3, "from 0 to 255"),
        ("red", "colours in a list"),
    ],
)
def test_what_is_no_palette_is_refused(palette, message):
    with pytest.raises(zoo.InvalidInput, match=message):
        class_colours(palette, LABELS)


@pytest.mark.parametrize("alpha", [-0.1, 1.1, float("nan"), True, "half"])
def test_what_is_no_alpha_is_refused(result, alpha):
    with pytest.raises(zoo.InvalidInput, match="alpha: a number from 0 to 1"):
        result.overlay(alpha)


# ---- files


def test_an_overlay_is_saved_in_the_format_of_its_ending(result, tmp_path):
    for name, kind in (("out.png", "PNG"), ("out.JPG", "JPEG"), ("out.webp", "WEBP")):
        result.save(tmp_path / name, legend=False)
        with Image.open(tmp_path / name) as saved:
            assert (saved.format, saved.size) == (kind, (90, 60))
    result.save(str(tmp_path / "out.png"), alpha=1, palette={"tree": "teal"}, legend=False)
    with Image.open(tmp_path / "out.png") as saved:
        assert saved.getpixel((0, 0)) == (0, 128, 128)


def test_a_label_map_is_saved_with_ids_as_values_and_colours_to_look_at(result, tmp_path):
    result.save(tmp_path / "ids.png", overlay=False, palette={"tree": "teal"})
    with Image.open(tmp_path / "ids.png") as saved:
        np.testing.assert_array_equal(np.asarray(saved), result.label_map)
        assert saved.convert("RGB").getpixel((0, 0)) == (0, 128, 128)


def test_a_label_map_of_many_classes_is_saved_in_16_bits(image, tmp_path):
    label_map = np.arange(5400, dtype=np.uint16).reshape(60, 90)
    result = Segmentation(label_map, (), {index: str(index) for index in range(5400)}, image)
    result.save(tmp_path / "ids.png", overlay=False)
    with Image.open(tmp_path / "ids.png") as saved:
        np.testing.assert_array_equal(np.asarray(saved), label_map)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("out.txt", {}, r"ends in \.png, \.jpg"),
        ("out", {}, r"ends in \.png, \.jpg"),
        ("ids.jpg", {"overlay": False}, r"label maps are saved in a file that ends in \.png\."),
        ("no/such/directory/out.png", {}, "out.png can't be written: No such file or directory"),
    ],
)
def test_what_can_not_be_saved_is_refused(result, tmp_path, name, options, message):
    with pytest.raises(zoo.ZooError, match=message):
        result.save(tmp_path / name, **options)
    assert list(tmp_path.iterdir()) == []


def test_a_picture_that_is_too_large_for_its_format_is_refused(tmp_path):
    wide = Image.new("RGB", (16_384, 1))
    result = segmentation(np.zeros((1, 16_384), dtype=np.uint8), wide)
    with pytest.raises(zoo.SaveError, match=r"out\.webp: a picture of 16384 x 1 pixels can't be written as WEBP"):
        result.save(tmp_path / "out.webp", legend=False)
    assert list(tmp_path.iterdir()) == []


def test_a_picture_whose_writing_fails_leaves_the_earlier_one(monkeypatch, result, tmp_path):
    (tmp_path / "out.png").write_bytes(b"earlier")

    def fail(*_: object) -> None:
        assert (tmp_path / "out.png").read_bytes() == b"earlier"
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(zoo.SaveError, match=r"out\.png can't be written: No space left"):
        result.save(tmp_path / "out.png")
    assert [(each.name, each.read_bytes()) for each in tmp_path.iterdir()] == [("out.png", b"earlier")]


def test_the_image_itself_is_never_replaced(result, image, tmp_path):
    image.save(tmp_path / "photo.png")
    (tmp_path / "link.png").symlink_to(tmp_path / "photo.png")
    content = (tmp_path / "photo.png").read_bytes()
    of_file = segmentation(result.label_map, str(tmp_path / "photo.png"))
    for name in ("photo.png", "link.png"):
        with pytest.raises(zoo.ZooError, match="is the image itself"):
            of_file.save(tmp_path / name)
    assert (tmp_path / "photo.png").read_bytes() == content
