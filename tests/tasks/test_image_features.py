"""Images to features: all that a backbone gives, or one vector."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import zoo
from zoo.interfaces import FeatureSpec, TypedConfig
from zoo.interfaces.features import Features
from zoo.interfaces.model import Model
from zoo.preprocess.image import ImagePreprocessor
from zoo.tasks.image_features import ImageFeaturePipeline

PREFIX = 2


@dataclass(frozen=True, kw_only=True)
class PatchesConfig(TypedConfig):
    def feature_specs(self) -> tuple[FeatureSpec, ...]:
        return (
            FeatureSpec(name="map", channels=3, kind="map", modality="image", stride=2),
            FeatureSpec(name="tokens", channels=3, kind="tokens", modality="image", stride=2, prefix_tokens=PREFIX),
            FeatureSpec(name="pooled", channels=3, kind="vector", modality="image"),
        )


class Patches(Model):
    """The colours of patches, after tokens of another kind. kinds: of the features that it gives."""

    def __init__(self, *kinds: str) -> None:
        super().__init__(PatchesConfig())
        self.kinds = kinds
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, pixel_values: Tensor) -> Features:
        patches = nn.functional.avg_pool2d(pixel_values, 2) * self.scale
        tokens = patches.flatten(2).transpose(1, 2)
        given = {
            "maps": (pixel_values, patches),
            "tokens": torch.cat([torch.full_like(tokens[:, :PREFIX], 9), tokens], dim=1),
            "vector": patches.amax(dim=(2, 3)),
            "grid": tuple(patches.shape[-2:]),
        }
        return Features(**{kind: given[kind] for kind in self.kinds})


def pipeline(*kinds: str) -> ImageFeaturePipeline:
    values = {"image_processor_type": "ViTImageProcessor", "do_resize": False, "do_normalize": False}
    return ImageFeaturePipeline(Patches(*kinds), ImagePreprocessor.from_config(values))


def photo(height: int = 6, width: int = 8, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def patches(image: np.ndarray) -> np.ndarray:
    """(channels, height / 2, width / 2)."""
    height, width, _ = image.shape
    return (image / 255).reshape(height // 2, 2, width // 2, 2, 3).mean(axis=(1, 3)).transpose(2, 0, 1)


def test_everything_that_the_backbone_gives_for_each_image_by_itself():
    images = [photo(seed=1), photo(4, 4, seed=2), photo(seed=3)]
    for image, features in zip(
        images, pipeline("maps", "tokens", "vector", "grid")(iter(images), batch_size=2), strict=True
    ):
        expected = patches(image)
        assert {array.dtype for array in features.arrays.values()} == {np.dtype(np.float32)}
        np.testing.assert_allclose(features.maps[0], image.transpose(2, 0, 1) / 255, atol=1e-6)
        np.testing.assert_allclose(features.maps[1], expected, atol=1e-6)
        np.testing.assert_allclose(features.vector, expected.max(axis=(1, 2)), atol=1e-6)
        np.testing.assert_allclose(features.tokens[PREFIX:], expected.reshape(3, -1).T, atol=1e-6)
        assert features.grid == expected.shape[1:]


def test_an_image_of_a_batch_that_is_kept_keeps_no_other():
    [first, _] = pipeline("maps", "vector")([photo(seed=1), photo(seed=2)])
    for array in first.arrays.values():
        assert array.flags.owndata and array.base is None


@pytest.mark.parametrize("kinds", [("maps", "tokens", "vector"), ("tokens",)])
def test_the_mean_is_that_of_the_coarsest_map_or_of_the_tokens_for_places(kinds):
    features = pipeline(*kinds)(photo(), pool="mean")
    np.testing.assert_allclose(features.vector, patches(photo()).mean(axis=(1, 2)), atol=1e-6)
    assert list(features.arrays) == ["vector"]


def test_the_vector_alone_is_the_backbones_own():
    features = pipeline("maps", "vector")(photo(), pool="vector")
    np.testing.assert_allclose(features.vector, patches(photo()).max(axis=(1, 2)), atol=1e-6)
    assert list(features.arrays) == ["vector"]


def test_a_backbone_in_bfloat16_gives_arrays_all_the_same():
    pipe = pipeline("maps", "vector")
    pipe.model.to(torch.bfloat16)
    features = pipe(photo())
    assert features.vector.dtype == np.float32
    np.testing.assert_allclose(features.vector, patches(photo()).max(axis=(1, 2)), atol=1e-2)


def test_features_are_saved_by_their_names(tmp_path):
    features = pipeline("maps", "vector")(photo())
    features.save(tmp_path / "photo.npz")
    with np.load(tmp_path / "photo.npz") as arrays:
        assert list(arrays) == ["vector", "maps.0", "maps.1"]
        np.testing.assert_array_equal(arrays["maps.1"], features.maps[1])
    with pytest.raises(zoo.ZooError, match=r"ends in \.npz"):
        features.save(tmp_path / "photo.png")
    with pytest.raises(zoo.ZooError, match=r"photo\.npz can't be written: No such file"):
        features.save(tmp_path / "no" / "photo.npz")
    features.save(tmp_path / "LARGE.NPZ")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["LARGE.NPZ", "photo.npz"]


@pytest.mark.parametrize(
    ("kinds", "inputs", "options", "message"),
    [
        (("maps",), [photo()], {"pool": "vector"}, r"gives nothing of the kind.\nInstead, take pool='mean'"),
        (("vector",), [photo()], {"pool": "mean"}, "gives nothing of the kind"),
        (("maps",), [photo()], {"pool": "max"}, "pool: expected 'vector', 'mean' or None"),
        (("maps",), [photo()], {"batch_size": 0}, "batch_size: expected a whole number above 0"),
        (("maps",), 7, {}, "An image or several"),
        (("maps",), [photo(), b"no image"], {"batch_size": 1}, r"items\[1\] is no image"),
    ],
)
def test_what_can_not_be_is_refused(kinds, inputs, options, message):
    with pytest.raises(zoo.InvalidInput, match=message):
        pipeline(*kinds)(inputs, **options)


def test_without_a_preprocessor_a_choice_is_asked_for():
    with pytest.raises(zoo.PreprocessorError, match=r"image-feature-extraction has[^\0]*Or write it"):
        ImageFeaturePipeline(Patches("maps"), None)


def test_the_task_loads_the_backbone_alone_out_of_a_classifier(tmp_path):
    sizes = {"embed_dim": 4, "depths": [1, 1], "num_heads": [1, 2], "window_size": 2, "image_size": 16}
    model = zoo.create({"model_type": "swin", **sizes}, task="image-classification", labels=("a", "b"), device="cpu")
    preprocessor = ImagePreprocessor.from_config({"image_processor_type": "ViTImageProcessor", "size": 16})
    zoo.save(model, tmp_path, preprocessor=preprocessor)
    pipe = zoo.pipeline("image-feature-extraction", tmp_path, device="cpu")
    inputs = preprocessor.collate(preprocessor([photo()]))
    with torch.inference_mode():
        expected = model.backbone(**inputs)
    features = pipe(photo())
    np.testing.assert_array_equal(features.vector, expected.vector[0].numpy())
    np.testing.assert_array_equal(features.maps[-1], expected.maps[-1][0].numpy())
