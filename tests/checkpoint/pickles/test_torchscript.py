"""TorchScript archives: what `state_dict()` lists, read without running a line of their code."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

from zoo.checkpoint import Checkpoint, open_checkpoint, read_bytes
from zoo.checkpoint.select import select_tensors
from zoo.errors import CheckpointError


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 4)
        self.register_buffer("scale", torch.ones(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(x) * self.scale


class Net(nn.Module):
    def __init__(self, memory: bool) -> None:
        super().__init__()
        self.first = Block()
        self.tied = self.first
        self.norm = nn.BatchNorm1d(4)
        self.sizes = [1, 2]
        if memory:
            self.memory = torch.full((2,), 7.0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(self.first(x))


@pytest.fixture(autouse=True)
def _deprecated() -> Iterator[None]:
    """torch.jit is on its way out; the files it has made are not."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def save(module: nn.Module, path: Path) -> dict[str, torch.Tensor]:
    torch.jit.script(module).save(str(path))
    loaded: dict[str, torch.Tensor] = torch.jit.load(str(path)).state_dict()
    return loaded


def assert_same(checkpoint: Checkpoint, state: dict[str, torch.Tensor]) -> None:
    assert set(checkpoint) == set(state)
    for name, tensor in state.items():
        assert checkpoint[name].shape == tuple(tensor.shape)
        assert b"".join(map(bytes, read_bytes(checkpoint[name]))) == tensor.numpy().tobytes()


def test_parameters_and_buffers_by_their_paths(tmp_path: Path) -> None:
    path = tmp_path / "net.jit"
    state = save(Net(memory=False), path)
    checkpoint = open_checkpoint(path)
    assert_same(checkpoint, state)
    assert_same(select_tensors(checkpoint), state)
    assert "tied.linear.weight" in checkpoint
    assert checkpoint.code is not None and not checkpoint.code.runs_code


def test_plain_attributes_stand_apart(tmp_path: Path) -> None:
    path = tmp_path / "net.pt"
    state = save(Net(memory=True), path)
    checkpoint = open_checkpoint(path)
    assert "attributes.memory" in checkpoint
    assert checkpoint.selection is not None and checkpoint.selection.left_out == ("attributes",)
    assert_same(select_tensors(checkpoint), state)


def test_frozen_modules_hold_constants_and_say_so(tmp_path: Path) -> None:
    path = tmp_path / "net.pt"
    torch.jit.freeze(torch.jit.script(Net(memory=False).eval())).save(str(path))
    checkpoint = open_checkpoint(path)
    assert len(checkpoint) and all(name.startswith("constants.") for name in checkpoint)
    with pytest.raises(CheckpointError, match="frozen"):
        select_tensors(checkpoint)
    assert set(select_tensors(checkpoint, "constants")) == {name.removeprefix("constants.") for name in checkpoint}


def test_traced_modules(tmp_path: Path) -> None:
    path = tmp_path / "net.pt"
    net = Block()
    torch.jit.trace(net, torch.ones(1, 3)).save(str(path))
    assert_same(open_checkpoint(path), net.state_dict())
