"""Images to the classes of their pixels: in the image's own size, whatever was done to it on the way in."""

from __future__ import annotations

import io
import json
import os
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from transformers import SwinConfig, UperNetConfig, UperNetForSemanticSegmentation
from transformers.models.segformer.image_processing_pil_segformer import SegformerImageProcessorPil

import zoo
from zoo.cli import main
from zoo.interfaces import FeatureSpec, TypedConfig
from zoo.interfaces.features import Features
from zoo.interfaces.head import Head
from zoo.interfaces.model import Model
from zoo.interfaces.task_model import ComposedTaskModel
from zoo.preprocess.image import ImagePreprocessor
from zoo.tasks.image_batches import model_inputs
from zoo_segmentation import pipeline as module
from zoo_segmentation import rle, sliding_window
from zoo_segmentation.config import SegmentationHeadConfig
from zoo_segmentation.labelling import Labelling
from zoo_segmentation.output import SegmentationOutput
from zoo_segmentation.pipeline import ImageSegmentationPipeline

COLOUR = FeatureSpec(name="colour", channels=3, kind="map", modality="image", stride=1)
LABELS = ("red", "green", "blue")


@dataclass(frozen=True, kw_only=True)
class ColourConfig(TypedConfig):
    def feature_specs(self) -> tuple[FeatureSpec, ...]:
        return (COLOUR,)


class Colour(Model):
    """The image as its own features, and the shapes that it was given."""

    def __init__(self) -> None:
        super().__init__(ColourConfig())
        self.shapes: list[tuple[int, ...]] = []

    def forward(self, pixel_values: Tensor) -> Features:
        self.shapes.append(tuple(pixel_values.shape))
        return Features(maps=(pixel_values,))


class Mixing(Head):
    """Scores are mixtures of the colours, at a stride."""

    def __init__(self, labels: tuple[str, ...], stride: int) -> None:
        super().__init__((COLOUR,), SegmentationHeadConfig(labels=labels, ignore_index=-1))
        self.mix = nn.Conv2d(3, len(labels), stride, stride=stride, bias=False)

    def forward(self, features: Features, **options: Any) -> SegmentationOutput:
        return SegmentationOutput(self.mix(features.maps[-1]))


def mixing(count: int, stride: int) -> ComposedTaskModel:
    torch.manual_seed(0)
    return ComposedTaskModel(Colour(), Mixing(tuple(f"class {index}" for index in range(count)), stride))


def pipeline(**settings: Any) -> ImageSegmentationPipeline:
    """A pixel's class is the colour that it has most of."""
    model = ComposedTaskModel(Colour(), Mixing(LABELS, 1))
    with torch.no_grad():
        model.head.mix.weight.copy_(torch.eye(3)[..., None, None])
    return ImageSegmentationPipeline(model, preprocessor(**settings))


def preprocessor(**settings: Any) -> ImagePreprocessor:
    values = {"image_processor_type": "ViTImageProcessor", "do_resize": False, "do_normalize": False, **settings}
    return ImagePreprocessor.from_config(values)


def flag(width: int = 12, height: int = 8) -> np.ndarray:
    """A quarter blue on the left, and red."""
    values = np.zeros((height, width, 3), dtype=np.uint8)
    values[:, : width // 4, 2] = 255
    values[:, width // 4 :, 0] = 255
    return values


def test_a_class_has_its_pixels_score_area_share_and_mask():
    result = pipeline()(flag())
    assert result.label_map.dtype == np.uint8
    np.testing.assert_array_equal(result.label_map, np.where(flag()[..., 2] == 255, 2, 0))
    red, blue = result.segments
    assert (red.label, red.id, red.area, red.share) == ("red", 0, 72, 0.75)
    assert (blue.label, blue.id, blue.area, blue.share) == ("blue", 2, 24, 0.25)
    assert [red.score, blue.score] == pytest.approx([np.e / (np.e + 2)] * 2)
    np.testing.assert_array_equal(rle.decode(blue.rle), result.label_map == 2)
    assert result.id2label == {0: "red", 1: "green", 2: "blue"}


@pytest.mark.parametrize("stride", [1, 4])
@pytest.mark.parametrize("classes", [5, 300])
def test_it_is_what_the_reference_makes_of_the_same_scores(stride, classes):
    """Images of several sizes, resized to one; more classes than a byte can tell apart."""
    model = mixing(classes, stride)
    sizes = [(37, 53), (90, 41), (16, 16)]
    images = [
        np.random.default_rng(height).integers(0, 256, (height, width, 3), dtype=np.uint8) for height, width in sizes
    ]
    reference = SegformerImageProcessorPil(size={"height": 32, "width": 48})
    ours = ImagePreprocessor.from_config({**reference.to_dict(), "image_processor_type": "SegformerImageProcessor"})
    with torch.inference_mode():
        output = model({"pixel_values": reference(images, return_tensors="pt")["pixel_values"]})
    expected = reference.post_process_semantic_segmentation(output, target_sizes=sizes)
    results = ImageSegmentationPipeline(model, ours)(images)
    for logits, size, result, labels in zip(output.logits, sizes, results, expected, strict=True):
        scores = nn.functional.interpolate(logits[None], size=size, mode="bilinear", align_corners=False)[0]
        best, second = scores.topk(2, dim=0).values
        clear = (best - second > 1e-4).numpy()  # of two that are level either may be taken
        assert clear.mean() > 0.98
        np.testing.assert_array_equal(result.label_map[clear], labels.numpy()[clear])
        for segment in result.segments:
            mask = torch.from_numpy(result.label_map.astype(np.int64) == segment.id)
            assert segment.area == mask.sum()
            assert segment.score == pytest.approx(scores.softmax(dim=0)[segment.id][mask].mean().item(), abs=1e-5)


def test_pixels_that_the_model_never_saw_are_of_no_class():
    result = pipeline(do_center_crop=True, crop_size={"height": 4, "width": 6})(flag())
    assert result.void == 255
    seen = np.zeros((8, 12), dtype=bool)
    seen[2:6, 3:9] = True
    np.testing.assert_array_equal(result.label_map == result.void, ~seen)
    [red] = result.segments
    assert (red.area, red.share) == (24, 24 / 96)
    assert result.rows == [(red.label, "25.0%"), ("(cut away by the preprocessor)", "75.0%")]
    assert repr(result) == f"Segmentation(8 x 12: {red.label} 25.0%, (cut away by the preprocessor) 75.0%)"


@pytest.mark.parametrize(
    ("classes", "kind"), [(255, np.uint8), (256, np.uint16), (65535, np.uint16), (65536, np.int32)]
)
def test_a_label_map_has_room_for_all_classes_and_for_none(classes, kind):
    labelling = Labelling((2, 1), [str(index) for index in range(classes)])
    logits = torch.full((1, 1, classes), -20.0)
    logits[..., -1] = 20
    labelling.add(1, 0, logits)
    result = labelling.result(b"")
    assert result.label_map.dtype == kind
    assert result.label_map[:, 0].tolist() == [result.void, classes - 1] and result.void >= classes
    [segment] = result.segments
    assert (segment.id, segment.share) == (classes - 1, 0.5)


def test_every_form_of_an_image_is_one_image(tmp_path):
    image, stream = Image.fromarray(flag()), io.BytesIO()
    image.save(tmp_path / "flag.png")
    image.save(stream, "PNG")
    tensor = torch.from_numpy(flag()).permute(2, 0, 1)
    for form in (tmp_path / "flag.png", str(tmp_path / "flag.png"), stream.getvalue(), image, flag(), tensor):
        for options in ({}, {"window": 5}):
            assert [segment.label for segment in pipeline()(form, **options).segments] == ["red", "blue"]


def test_several_keep_their_order_whatever_their_sizes():
    pipe = pipeline()
    images = [flag(width) for width in (8, 12, 8, 16, 12)]
    results = pipe(iter(images), batch_size=3)
    assert [result.label_map.shape[1] for result in results] == [8, 12, 8, 16, 12]
    assert pipe.model.backbone.shapes == [(2, 3, 8, 8), (1, 3, 8, 12), (1, 3, 8, 16), (1, 3, 8, 12)]


@pytest.mark.parametrize(("options", "read"), [({"batch_size": 2}, 2), ({"batch_size": 2, "window": 4}, 1)])
def test_one_batch_is_in_memory_at_a_time(options, read):
    taken = []

    def images():
        for index in range(5):
            taken.append(index)
            yield flag()

    results = pipeline().iterate(images(), **options)
    next(results)
    assert len(taken) == read
    assert len(list(results)) == 4


# ---- windows


def photo(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("blend", ["gaussian", "uniform"])
def test_where_a_window_sees_enough_windows_change_nothing(monkeypatch, blend):
    """A pixel's score is its own colour's, so that all windows agree; and the image is not resized."""
    monkeypatch.setattr(sliding_window, "BAND_BYTES", 1)
    image = photo(33, 47)
    expected = pipeline()(image)
    resizing = pipeline(do_resize=True, size={"height": 4, "width": 4})
    result = resizing(image, window=(16, 12), overlap=5, blend=blend, batch_size=3)
    np.testing.assert_array_equal(result.label_map, expected.label_map)
    for ours, theirs in zip(result.segments, expected.segments, strict=True):
        assert (ours.id, ours.area, ours.rle) == (theirs.id, theirs.area, theirs.rle)
        assert ours.score == pytest.approx(theirs.score)
    assert {shape[1:] for shape in resizing.model.backbone.shapes} == {(3, 16, 12)}
    assert max(shape[0] for shape in resizing.model.backbone.shapes) == 3


def test_a_window_larger_than_the_image_is_the_image():
    pipe = pipeline()
    pipe(flag(), window=512)
    pipe(flag(), window=(4, 512), overlap=0.0)
    assert pipe.model.backbone.shapes == [(1, 3, 8, 12), (1, 3, 4, 12), (1, 3, 4, 12)]


def test_scores_at_a_stride_are_brought_to_the_pixels_of_their_window():
    model = mixing(4, 4)
    image = photo(16, 16)
    pipe = ImageSegmentationPipeline(model, preprocessor())
    np.testing.assert_array_equal(pipe(image, window=16).label_map, pipe(image).label_map)


class Patches(Model):
    """The mean colours of patches, as tokens are of them: what is beside whole ones is not seen."""

    def __init__(self) -> None:
        super().__init__(PatchesConfig())

    def forward(self, pixel_values: Tensor) -> Features:
        return Features(maps=(nn.functional.avg_pool2d(pixel_values, 4),))


@dataclass(frozen=True, kw_only=True)
class PatchesConfig(TypedConfig):
    def feature_specs(self) -> tuple[FeatureSpec, ...]:
        return (FeatureSpec(name="tokens", channels=3, kind="tokens", modality="image", stride=4),)


def test_all_of_a_window_is_seen_in_its_place_by_a_model_of_patches():
    pipe = pipeline()
    pipe.model = ComposedTaskModel(Patches(), pipe.model.head)
    image = flag(14, 10)  # 3.5 by 2.5 patches
    image[:, :4], image[:, 4:] = (0, 0, 255), (255, 0, 0)
    image[8:] = (0, 255, 0)
    result = pipe(image, window=64)
    expected = np.where(np.arange(14) < 4, 2, 0) * np.ones((10, 1), dtype=int)
    expected[8:] = 1
    np.testing.assert_array_equal(result.label_map, expected)


def test_windows_at_a_time_are_as_many_as_their_scores_have_room(monkeypatch):
    monkeypatch.setattr(module, "SCORE_BYTES", 2 * 4 * 4 * 3 * 4 + 1)
    pipe = pipeline()
    pipe(photo(4, 20), window=4, overlap=0.0, batch_size=8)
    assert [shape[0] for shape in pipe.model.backbone.shapes] == [2, 2, 1]


def test_the_smallest_image():
    for options in ({}, {"window": 7}):
        result = pipeline()(np.full((1, 1, 3), [0, 255, 0], dtype=np.uint8), **options)
        assert [(each.label, each.share) for each in result.segments] == [("green", 1.0)]
        assert result.overlay().height > 1


# ---- what is refused


@pytest.mark.parametrize("options", [{}, {"window": 4}])
def test_a_wrong_image_is_counted_among_all(options):
    with pytest.raises(zoo.InvalidInput, match=r"items\[3\] holds values that are not finite"):
        pipeline()([flag()] * 3 + [np.full((2, 2, 3), np.nan)], batch_size=2, **options)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (b"", "is empty"),
        (b"It says it is a picture.", "is no image in a format"),
        (np.zeros((1, 2, 2, 2, 3)), "5 dimensions"),
        (np.zeros((2, 2, 7)), "1, 3 or 4 channels"),
    ],
)
@pytest.mark.parametrize("options", [{}, {"window": 4}])
def test_what_is_no_image_is_refused(image, message, options):
    with pytest.raises(zoo.InvalidInput, match=message):
        pipeline()([image], **options)


@pytest.mark.parametrize(
    ("inputs", "options", "message"),
    [
        ([], {"batch_size": 0}, "batch_size: expected a whole number above 0"),
        ([], {"window": 0}, "window: a number of pixels"),
        ([], {"window": 4, "overlap": 1.5}, "overlap: a part of the window"),
        ([], {"window": (4, 8), "overlap": 4}, "a number of pixels below its height and width"),
        ([], {"overlap": "half"}, "overlap: a part of the window"),
        ([], {"blend": "linear"}, "blend: 'gaussian' or 'uniform'"),
        ([], {"overlap": 0.9}, "settings of windows; give window=512"),
        ([], {"blend": "uniform"}, "settings of windows; give window=512"),
        (7, {}, "An image or several"),
        (7, {"window": 4}, "An image or several"),
    ],
)
def test_what_is_called_wrongly_is_refused(inputs, options, message):
    with pytest.raises(zoo.InvalidInput, match=message):
        pipeline()(inputs, **options)


@pytest.mark.parametrize("options", [{}, {"window": 4}])
@pytest.mark.parametrize("weight", [torch.nan, torch.inf])
def test_scores_that_say_nothing_are_no_class(options, weight):
    pipe = pipeline()
    with torch.no_grad():
        pipe.model.head.mix.weight[1] = weight
    with pytest.raises(zoo.InvalidInput, match="scores that are NaN or infinite"):
        pipe(photo(8, 12), **options)


def test_without_a_preprocessor_a_choice_is_asked_for():
    with pytest.raises(zoo.PreprocessorError, match=r"no preprocessor_config\.json[^\0]*Segformer[^\0]*512 x 512"):
        ImageSegmentationPipeline(pipeline().model, None)


def test_a_result_knows_its_file_wherever_the_process_goes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(flag()).save("flag.png")
    result = pipeline()("flag.png")
    os.mkdir("elsewhere")
    monkeypatch.chdir("elsewhere")
    assert result.overlay(legend=False).size == (12, 8)
    Image.fromarray(flag(16)).save("../flag.png")
    with pytest.raises(zoo.InvalidInput, match="16 x 8 pixels now; it had 12 x 8"):
        result.overlay()
    os.remove("../flag.png")
    with pytest.raises(zoo.InvalidInput, match=r"flag\.png: no such file"):
        result.overlay()


# ---- the command


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    """Of a tiny UperNet on Swin, as transformers writes it."""
    path = tmp_path_factory.mktemp("segmenter")
    backbone = SwinConfig(
        embed_dim=4,
        depths=[1, 1, 1, 1],
        num_heads=[1, 2, 2, 2],
        window_size=2,
        image_size=32,
        out_features=["stage1", "stage2", "stage3", "stage4"],
    )
    config = UperNetConfig(
        backbone_config=backbone, hidden_size=8, auxiliary_in_channels=16, id2label={0: "wall", 1: "cat"}
    )
    torch.manual_seed(0)
    UperNetForSemanticSegmentation(config).save_pretrained(path)
    SegformerImageProcessorPil(size={"height": 32, "width": 48}).save_pretrained(path)
    return path


def test_the_command_writes_the_picture_and_prints_the_classes(directory, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(photo(40, 50)).save("photo.png")
    expected = zoo.pipeline("segmentation", directory, device="cpu")("photo.png", window=32)
    arguments = ["run", "image-segmentation", str(directory), "photo.png", "--out", "overlay.png", "--window", "32"]
    assert main([*arguments, "--device", "cpu"]) == 0
    assert capsys.readouterr().out == "".join(f"{each.label}\t{each.share:.1%}\n" for each in expected.segments)
    with Image.open("overlay.png") as picture:
        np.testing.assert_array_equal(np.asarray(picture), np.asarray(expected.overlay()))
    assert main([*arguments, "--device", "cpu", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said == {"input": "photo.png", "out": "overlay.png", **json.loads(json.dumps(expected.to_json()))}
    assert set(said["segments"][0]) == {"label", "id", "score", "area", "share", "rle"}


@pytest.mark.parametrize(("options", "batches"), [((), [8, 4]), (("--batch-size=1",), [1] * 12)])
def test_the_command_computes_as_many_windows_at_a_time_as_it_is_told(
    directory, tmp_path, monkeypatch, options, batches
):
    Image.fromarray(photo(16, 192)).save(tmp_path / "photo.png")
    found = []
    monkeypatch.setattr(
        module,
        "model_inputs",
        lambda model, prepare, items: found.append(len(items)) or model_inputs(model, prepare, items),
    )
    arguments = ["run", "segmentation", str(directory), str(tmp_path / "photo.png"), "--device", "cpu"]
    assert main([*arguments, "--window", "16", "--overlap", "0", *options]) == 0
    assert found == batches


@pytest.mark.parametrize("option", ["--window=0", "--overlap=1.0", "--blend=linear"])
def test_the_command_refuses_wrong_settings_as_wrongly_called(directory, option, capsys):
    assert main(["run", "segmentation", str(directory), "no such photo.png", option]) == 2
    assert f"Error: {option[2:].partition('=')[0]}: " in capsys.readouterr().err
