"""Two packages that depend on nothing but what is public, installed from wheels beside zoo-sdk's: a backbone, and a
task. Nothing but their own code adds what they can do.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

import zoo.testing

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
TINY = {"hidden_sizes": [8, 12, 16, 24], "depths": [1, 1, 2, 1]}

COMPUTE = """
import json, sys, zoo
from safetensors.torch import load_file, save_file
import torch
directory, pixels, target = sys.argv[1:4]
pixels = load_file(pixels)["pixels"]
outputs = {}
for name in sys.argv[4:]:
    model, _ = zoo.load(f"{directory}/{name}")
    with torch.inference_mode():
        outputs[name] = model({"pixel_values": pixels}).logits.contiguous()
    zoo.save(model, f"{target}/{name}")
save_file(outputs, f"{target}/outputs.safetensors")
"""

COMPOSE = """
import json, sys, zoo
import torch
directory = sys.argv[1]
convnext = {"model_type": "convnext", "hidden_sizes": [8, 12, 16, 24], "depths": [1, 1, 2, 1]}
swin = {"model_type": "swin", "embed_dim": 8, "depths": [1, 1], "num_heads": [1, 2], "image_size": 64, "window_size": 4}
pixels = {"pixel_values": torch.randn(2, 3, 64, 64)}
found = {"file": zoo.__file__}
with torch.inference_mode():
    for task in ("image-classification", "image-segmentation"):
        found[task] = list(zoo.create(convnext, task=task, num_labels=3)(pixels).logits.shape)
for name, config in (("swin", swin), ("convnext", convnext)):
    model = zoo.create(config, task="depth-estimation", seed=0)
    before = model(pixels, torch.full((2, 64, 64), 4.0)).loss
    before.backward()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.grad is not None:
                parameter -= 0.01 * parameter.grad
    found[name] = (before - model(pixels, torch.full((2, 64, 64), 4.0)).loss).item()
    zoo.save(model, f"{directory}/{name}")
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def composed(outside, tmp_path_factory):
    """What COMPOSE found, and the directory with models for depth estimation."""
    directory = tmp_path_factory.mktemp("composed")
    found = json.loads(outside.run("python", "-c", COMPOSE, directory))
    for name in ("swin", "convnext"):
        (directory / name / "preprocessor_config.json").write_text(
            json.dumps({"image_processor_type": "ViTImageProcessor", "size": {"height": 64, "width": 64}})
        )
    return found, directory


def test_they_are_listed_as_any_other(outside):
    listed = json.loads(outside.run("zoo", "list", "--json"))
    [convnext] = [each for each in listed["architectures"] if each["name"] == "convnext"]
    assert (convnext["full_name"], convnext["version"]) == ("zoo-convnext:convnext", "1.2.0")
    assert "depth-estimation" in [each["name"] for each in listed["tasks"]]
    told = outside.run("zoo", "info", "convnext", "--json")
    for task in ("image-classification", "image-segmentation", "depth-estimation"):
        assert task in told


def test_a_backbone_from_outside_takes_the_heads_and_a_task_from_outside_takes_the_backbones(outside, composed):
    found, _ = composed
    assert Path(found["file"]).is_relative_to(outside.directory)
    assert found["image-classification"] == [2, 3]
    assert found["image-segmentation"][:2] == [2, 3]
    assert found["swin"] > 0 and found["convnext"] > 0  # one step downhill


def test_the_task_runs_from_the_command_line(outside, composed, tmp_path):
    _, directory = composed
    Image.new("RGB", (50, 30), "white").save(tmp_path / "photo.png")
    printed = outside.run(
        "zoo", "run", "depth-estimation", directory / "swin", tmp_path / "photo.png", "--out", tmp_path / "depth.npy"
    )
    assert printed.splitlines()[0].startswith("nearest\t") and printed.splitlines()[2].endswith(" m")
    depth = np.load(tmp_path / "depth.npy")
    assert depth.shape == (30, 50) and 0 < depth.min() < depth.max() < 10


def test_the_hubs_files_are_read_and_written_as_they_are(outside, tmp_path):
    import transformers

    torch.manual_seed(0)
    backbone = transformers.ConvNextConfig(**TINY)
    dense = transformers.ConvNextConfig(**TINY, out_features=["stage1", "stage2", "stage3", "stage4"])
    upernet = transformers.UperNetConfig(
        backbone_config=dense, hidden_size=16, auxiliary_in_channels=16, auxiliary_channels=8, num_labels=3
    )
    theirs = {
        "classifier": transformers.ConvNextForImageClassification(backbone),
        "upernet": transformers.UperNetForSemanticSegmentation(upernet),
    }
    pixels = torch.randn(2, 3, 96, 128)
    save_file({"pixels": pixels}, tmp_path / "pixels.safetensors")
    for name, model in theirs.items():
        zoo.testing.shake(model.eval())
        model.save_pretrained(tmp_path / name)
    written = tmp_path / "written"
    written.mkdir()
    outside.run("python", "-c", COMPUTE, tmp_path, tmp_path / "pixels.safetensors", written, *theirs)
    outputs = load_file(written / "outputs.safetensors")
    for name, model in theirs.items():
        with torch.inference_mode():
            expected = model(pixels).logits
        actual = outputs[name]
        if actual.shape != expected.shape:
            actual = torch.nn.functional.interpolate(actual, expected.shape[2:], mode="bilinear", align_corners=False)
        zoo.testing.assert_logits_agree(actual, expected)
        zoo.testing.assert_same_tensors(written / name, tmp_path / name)
        again = type(model).from_pretrained(written / name).eval()
        with torch.inference_mode():
            zoo.testing.assert_logits_agree(again(pixels).logits, expected)  # of tensors that lie elsewhere in memory


@pytest.mark.parametrize("name", ["zoo-convnext", "zoo-depth"])
def test_they_pass_the_conformance_kit(outside, tmp_path, name):
    tests = tmp_path / "test_conformance.py"
    tests.write_bytes((HERE / name / "tests" / "test_conformance.py").read_bytes())
    found = json.loads(outside.run("zoo", "plugin", "check", name, "--tests", tests, "--json"))
    [report] = found["plugins"]
    assert found["failed"] == 0 and report["passed"] >= 25 and report["undeclared"] == []
