"""Images to labels: which features are pooled, the loss, the pipeline, and a plugin's backbone from end to end."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import zoo
from zoo.composition import features_for
from zoo.interfaces import FeatureSpec, TypedConfig
from zoo.interfaces.features import Features
from zoo.interfaces.model import Model
from zoo.interfaces.task_model import ComposedTaskModel
from zoo.preprocess.image import ImagePreprocessor
from zoo.registry import registry
from zoo.tasks.head_configs import ImageClassifierConfig, labels_from_hub
from zoo.tasks.image_classification import ImageClassificationPipeline, ImageClassifier

LABELS = ("cat", "crane", "crane")
VECTOR = FeatureSpec(name="pooled", channels=4, kind="vector", modality="image")
FINE = FeatureSpec(name="fine", channels=2, kind="map", modality="image", stride=4)
COARSE = FeatureSpec(name="coarse", channels=3, kind="map", modality="image", stride=8)
TOKENS = FeatureSpec(name="tokens", channels=5, kind="tokens", modality="image", stride=4, prefix_tokens=2)

FEATURES = Features(
    maps=(torch.randn(2, 2, 6, 6), torch.randn(2, 3, 3, 3)), tokens=torch.randn(2, 11, 5), vector=torch.randn(2, 4)
)


def head(*features: FeatureSpec) -> ImageClassifier:
    spec = registry().heads.get("image-classifier").spec
    made = ImageClassifier(features_for(spec, features), ImageClassifierConfig(labels=LABELS))
    made.init_weights(torch.Generator().manual_seed(0))
    nn.init.normal_(made.bias)
    return made


@pytest.mark.parametrize(
    ("given", "pooled"),
    [
        ((FINE, COARSE, TOKENS, VECTOR), FEATURES.vector),
        ((FINE, COARSE, TOKENS), FEATURES.maps[1].mean(dim=(2, 3))),
        ((TOKENS,), FEATURES.tokens[:, 2:].mean(dim=1)),
    ],
    ids=["vector", "coarsest map", "tokens"],
)
def test_the_vector_is_taken_or_else_the_mean_of_maps_or_of_tokens(given, pooled):
    classifier = head(*given)
    expected = pooled @ classifier.weight.T + classifier.bias
    torch.testing.assert_close(classifier(FEATURES).logits, expected)


def test_padding_tokens_are_left_out_of_the_mean():
    classifier = head(TOKENS)
    mask = torch.ones(2, 11, dtype=torch.bool)
    mask[1, 6:] = False
    masked = Features(tokens=FEATURES.tokens, mask=mask)
    expected = torch.stack([FEATURES.tokens[0, 2:].mean(dim=0), FEATURES.tokens[1, 2:6].mean(dim=0)])
    torch.testing.assert_close(classifier(masked).logits, expected @ classifier.weight.T + classifier.bias)


def test_a_text_backbone_is_refused():
    config = {"model_type": "llama", "vocab_size": 9, "hidden_size": 8, "num_attention_heads": 2}
    with pytest.raises(
        zoo.CompositionError, match=r"can't do 'image-classification'.*needs image tokens; llama gives .*text tokens"
    ):
        zoo.create(config, task="image-classification")


def test_the_loss_of_parts_adds_up_to_that_of_the_whole():
    classifier = head(VECTOR)
    target = torch.tensor([0, 2])
    whole, named = classifier.loss(classifier(FEATURES), target)
    torch.testing.assert_close(whole, nn.functional.cross_entropy(classifier(FEATURES).logits, target))
    assert set(named) == set(classifier.count(target)) == {"label"}
    denominators = classifier.count(target)
    parts = [
        classifier.loss(classifier(Features(vector=FEATURES.vector[row, None])), target[row, None], denominators)[0]
        for row in range(2)
    ]
    torch.testing.assert_close(torch.stack(parts).sum(), whole)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"id2label": {"0": "a", "1": "b"}}, ("a", "b")),
        ({"id2label": {"1": "b", "0": "b"}, "num_labels": 7}, ("b", "b")),
        ({"num_labels": 3}, ("LABEL_0", "LABEL_1", "LABEL_2")),
        ({}, ("LABEL_0", "LABEL_1")),
    ],
)
def test_labels_are_those_of_the_hub(values, expected):
    assert labels_from_hub(values) == expected


@pytest.mark.parametrize("values", [{"id2label": {"1": "a"}}, {"id2label": {}}, {"id2label": ["a"]}, {"num_labels": 0}])
def test_labels_that_can_not_be_counted_are_refused(values):
    with pytest.raises(zoo.ConfigError, match=f"field '{next(iter(values))}'"):
        labels_from_hub(values)


@pytest.mark.parametrize("feature", [VECTOR, COARSE, TOKENS], ids=lambda feature: feature.kind)
def test_it_compiles_as_one_graph(feature):
    classifier = head(feature)
    compiled = torch.compile(classifier, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(FEATURES).logits, classifier(FEATURES).logits)


# ---- the pipeline


COLOUR = FeatureSpec(name="colour", channels=3, kind="map", modality="image", stride=1)


@dataclass(frozen=True, kw_only=True)
class ColourConfig(TypedConfig):
    def feature_specs(self) -> tuple[FeatureSpec, ...]:
        return (COLOUR,)


class Colour(Model):
    """The image as its own features, and which sizes it was given."""

    def __init__(self) -> None:
        super().__init__(ColourConfig())
        self.sizes: list[tuple[int, ...]] = []

    def forward(self, pixel_values: Tensor) -> Features:
        self.sizes.append(tuple(pixel_values.shape))
        return Features(maps=(pixel_values,))


def pipeline(**settings: Any) -> ImageClassificationPipeline:
    """The label of a picture is the colour that it has most of."""
    classifier = ImageClassifier((COLOUR,), ImageClassifierConfig(labels=("red", "green", "blue")))
    with torch.no_grad():
        classifier.weight.copy_(torch.eye(3))
        classifier.bias.zero_()
    values = {"image_processor_type": "ViTImageProcessor", "do_normalize": False, **settings}
    return ImageClassificationPipeline(ComposedTaskModel(Colour(), classifier), ImagePreprocessor.from_config(values))


@pytest.mark.parametrize("weight", [torch.nan, torch.inf])
def test_scores_that_say_nothing_are_no_label(weight):
    classify = pipeline()
    with torch.no_grad():
        classify.model.head.weight[1] = weight
    with pytest.raises(zoo.InvalidInput, match="scores that are NaN or infinite"):
        classify(np.full((8, 12, 3), 200, dtype=np.uint8))


def colour(name: str, width: int = 8, height: int = 8) -> Image.Image:
    return Image.new("RGB", (width, height), name)


def test_every_form_of_an_image_is_one_image(tmp_path):
    pipe = pipeline()
    image, path, stream = colour("blue"), tmp_path / "b.png", io.BytesIO()
    image.save(path)
    image.save(stream, "PNG")
    array = np.array(image)
    for form in (path, str(path), stream.getvalue(), image, array, torch.from_numpy(array).permute(2, 0, 1)):
        first, second, third = pipe(form)
        assert first.label == "blue"
        assert first.score == pytest.approx(np.e / (np.e + 2))
        assert first.score > second.score == third.score
    assert [each.label for each in pipe(image, top=1)] == ["blue"]


def test_several_keep_their_order_whatever_their_sizes():
    pipe = pipeline(do_resize=False)
    names = ["red", "blue", "#0f0", "blue", "red"]
    images = [colour(name, width=8 + index % 2) for index, name in enumerate(names)]
    best = [result[0].label for result in pipe(iter(images), batch_size=4)]
    assert best == ["red", "blue", "green", "blue", "red"]
    assert pipe.model.backbone.sizes == [(2, 3, 8, 8), (2, 3, 8, 9), (1, 3, 8, 8)]


def test_one_batch_is_in_memory_at_a_time():
    read = []

    def images():
        for index in range(5):
            read.append(index)
            yield colour("red")

    results = pipeline().iterate(images(), batch_size=2)
    next(results)
    assert read == [0, 1]
    assert len(list(results)) == 4


def test_a_wrong_image_is_counted_among_all():
    with pytest.raises(zoo.InvalidInput, match=r"items\[3\] holds values that are not finite"):
        pipeline()([colour("red")] * 3 + [np.full((2, 2, 3), np.nan)], batch_size=2)


@pytest.mark.parametrize(
    ("inputs", "options", "message"),
    [
        ([colour("red")], {"top": 0}, "top: expected a whole number above 0"),
        ([colour("red")], {"batch_size": 0}, "batch_size: expected a whole number above 0"),
        (7, {}, "An image or several"),
    ],
)
def test_what_is_called_wrongly_is_refused(inputs, options, message):
    with pytest.raises(zoo.InvalidInput, match=message):
        pipeline()(inputs, **options)


def test_without_a_preprocessor_a_choice_is_asked_for():
    with pytest.raises(zoo.PreprocessorError, match=r"no preprocessor_config\.json[^\0]*224 x 224"):
        ImageClassificationPipeline(pipeline().model, None)


# ---- a plugin's backbone, loaded, saved and run

PLUGIN = """
@hookimpl
def zoo_architectures():
    return [
        ArchitectureSpec(
            name="colours", config="colours.model:Config", model="colours.model:Colours", modality="image",
            default_task="zoo-sdk:image-classification", preprocessor="zoo-sdk:image", model_types=("colours",),
        )
    ]

@hookimpl
def zoo_layouts():
    return [
        LayoutSpec(
            name="colours-classifier", architecture="colours", head="zoo-sdk:image-classifier",
            matches="colours.model:matches", read_config="colours.model:read_config",
            write_config="colours.model:write_config", key_map="colours.model:KEYS",
        )
    ]
"""

MODEL = """
import torch
from dataclasses import dataclass
from torch import nn
from zoo.interfaces import FeatureSpec, LayoutConfigs, TypedConfig
from zoo.interfaces.features import Features
from zoo.interfaces.model import Model
from zoo.tasks.head_configs import ImageClassifierConfig, labels_from_hub
from zoo.weights.key_map import KeyMap, Rule

@dataclass(frozen=True, kw_only=True)
class Config(TypedConfig):
    width: int = 4

    def feature_specs(self):
        return (FeatureSpec(name="map", channels=self.width, kind="map", modality="image", stride=2),)

class Colours(Model):
    def __init__(self, config):
        super().__init__(config)
        self.conv = nn.Conv2d(3, config.width, 2, stride=2, bias=False)

    def forward(self, pixel_values):
        return Features(maps=(self.conv(pixel_values),))

    def init_weights(self, generator):
        nn.init.normal_(self.conv.weight, generator=generator)

def matches(metadata):
    return metadata.config.get("model_type") == "colours"

def read_config(metadata):
    labels = labels_from_hub(metadata.config)
    return LayoutConfigs(architecture=Config.from_hub(metadata.config), head=ImageClassifierConfig(labels=labels))

def write_config(configs):
    labels = {str(index): label for index, label in enumerate(configs.head.labels)}
    return configs.architecture.to_hub() | {"model_type": "colours", "id2label": labels}

KEYS = KeyMap(
    [
        Rule("conv.weight", "backbone.conv.weight"),
        Rule("classifier.weight", "head.weight"),
        Rule("classifier.bias", "head.bias"),
    ]
)
"""

SCRIPT = """
import sys
import zoo
from PIL import Image
from zoo.preprocess.image import ImagePreprocessor

directory, picture = sys.argv[1:]
values = {"model_type": "colours", "width": 5, "id2label": {"0": "a", "1": "b", "2": "b"}}
model = zoo.create(values, device="cpu")
preprocessor = ImagePreprocessor.from_config({"image_processor_type": "ViTImageProcessor", "size": 8})
zoo.save(model, directory, preprocessor=preprocessor)
loaded, read = zoo.load(directory, task="image-classification", device="cpu")
assert read.files() == preprocessor.files()
inputs = read.collate(read([picture]))
assert (loaded(inputs).logits == model(inputs).logits).all()
several, _ = zoo.load(directory, init_head=True, num_labels=7, device="cpu")
assert several(inputs).logits.shape == (1, 7)
"""


def test_from_a_plugin_to_the_command(fake_plugin, run_python, tmp_path):
    file = fake_plugin("colours", PLUGIN)
    file.with_name("model.py").write_text(MODEL)
    directory, picture = tmp_path / "model", tmp_path / "red.png"
    colour("red").save(picture)
    finished = run_python(SCRIPT, str(directory), str(picture), OMP_NUM_THREADS="1")
    assert finished.returncode == 0, finished.stderr
    command = "import sys; from zoo.cli import main; sys.exit(main(sys.argv[1:]))"
    arguments = ("run", "image-classification", str(directory), str(picture), "--device", "cpu", "--json", "--top", "2")
    finished = run_python(command, *arguments, OMP_NUM_THREADS="1")
    assert finished.returncode == 0, finished.stderr
    result = json.loads(finished.stdout)
    assert result["input"] == str(picture)
    assert [set(each) for each in result["results"]] == [{"label", "score"}] * 2
