"""Which part of a training checkpoint is the model: chosen where there is one answer, asked where there are several."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from zoo.checkpoint import Checkpoint, open_checkpoint
from zoo.checkpoint.select import is_set_aside, select_tensors
from zoo.errors import CheckpointError

Saved = Callable[[Any], Checkpoint]

WEIGHTS = {"layer.weight": torch.ones(2, 3), "layer.bias": torch.ones(2)}
MORE = {"layer.weight": torch.zeros(2, 3)}
OPTIMIZER = {"state": {0: {"exp_avg": torch.ones(2, 3)}}, "param_groups": [{"params": [0]}]}


@pytest.fixture
def saved(tmp_path: Path) -> Saved:
    def save(value: Any) -> Checkpoint:
        torch.save(value, tmp_path / "x.ckpt")
        return open_checkpoint(tmp_path / "x.ckpt")

    return save


@pytest.mark.parametrize(
    ("value", "path", "names"),
    [
        (WEIGHTS, "", set(WEIGHTS)),
        ({"scale": torch.tensor(1.0)}, "", {"scale"}),
        ({"state_dict": WEIGHTS, "epoch": 3}, "state_dict", set(WEIGHTS)),
        ({"model": {"state_dict": WEIGHTS, "args": {}}, "epoch": torch.tensor(3)}, "model.state_dict", set(WEIGHTS)),
        ({"net": WEIGHTS, "optimizer": OPTIMIZER}, "net", set(WEIGHTS)),
        ({"net": WEIGHTS, "optim_state": OPTIMIZER, "lr_scheduler": {"x": torch.ones(3)}}, "net", set(WEIGHTS)),
        ({"net": WEIGHTS, "opt": OPTIMIZER}, "net", set(WEIGHTS)),
        ({"net": WEIGHTS, "rng_state": torch.ones(100, dtype=torch.uint8)}, "net", set(WEIGHTS)),
        ([WEIGHTS], "0", set(WEIGHTS)),
        (WEIGHTS["layer.weight"], "", {"tensor"}),
        ([torch.ones(2), torch.ones(3)], "", {"0", "1"}),
        ({"model": nn.Linear(2, 3), "epoch": 1}, "model", {"weight", "bias"}),
        ({"encoder": WEIGHTS, "temperature": torch.ones(3)}, "", {*(f"encoder.{n}" for n in WEIGHTS), "temperature"}),
    ],
)
def test_the_only_answer_is_chosen(saved: Saved, value: Any, path: str, names: set[str]) -> None:
    checkpoint = saved(value)
    assert checkpoint.selection is not None
    assert checkpoint.selection.path == path
    assert checkpoint.selection.reason
    assert set(select_tensors(checkpoint)) == names


@pytest.mark.parametrize(
    ("value", "candidates"),
    [
        ({"generator": WEIGHTS, "discriminator": MORE}, ("generator", "discriminator")),
        ({"state_dict": WEIGHTS, "ema": MORE, "optimizer": OPTIMIZER}, ("state_dict", "ema")),
        ({"inner": {"a": WEIGHTS, "b": MORE}}, ("inner.a", "inner.b")),
        ({"state_dict": WEIGHTS, "class_weights": torch.ones(5)}, ("", "state_dict")),
        ({"optimizer": OPTIMIZER}, ()),
        (OPTIMIZER, ()),
    ],
)
def test_several_answers_are_an_error_that_lists_them(saved: Saved, value: Any, candidates: tuple[str, ...]) -> None:
    checkpoint = saved(value)
    assert checkpoint.selection is not None
    assert checkpoint.selection.path is None
    assert checkpoint.selection.candidates == candidates
    with pytest.raises(CheckpointError, match="--select") as caught:
        select_tensors(checkpoint)
    for candidate in candidates:
        assert repr(candidate or ".") in str(caught.value)


def test_names_are_relative_to_what_was_asked_for(saved: Saved) -> None:
    checkpoint = saved({"a": {"b": WEIGHTS}, "c": MORE, "ab": torch.tensor(1)})
    for select in ("a", "a.b", "c"):
        chosen = select_tensors(checkpoint, select)
        assert set(chosen) == {name.removeprefix(f"{select}.") for name in checkpoint if name.startswith(f"{select}.")}
        for name, record in chosen.items():
            assert record.name == name
            assert record.data == checkpoint[f"{select}.{name}"].data
        assert chosen.selection is not None and chosen.selection.path == select


@pytest.mark.parametrize("select", ["", "."])
def test_everything(saved: Saved, select: str) -> None:
    checkpoint = saved({"a": WEIGHTS, "c": MORE})
    assert list(select_tensors(checkpoint, select)) == list(checkpoint)


def test_one_tensor(saved: Saved) -> None:
    chosen = select_tensors(saved({"a": WEIGHTS, "layer.biases": torch.ones(1)}), "a.layer.bias")
    assert list(chosen) == ["bias"]


def test_a_path_that_is_not_there_lists_what_is(saved: Saved) -> None:
    with pytest.raises(CheckpointError, match=r"no tensor is under 'state'.*'state_dict', 'epoch'"):
        select_tensors(saved({"state_dict": WEIGHTS, "epoch": torch.tensor(1)}), "state")


def test_what_can_not_be_read_is_selected_too(saved: Saved) -> None:
    checkpoint = saved({"net": {**WEIGHTS, "wide": torch.ones(2, dtype=torch.complex128)}})
    chosen = select_tensors(checkpoint)
    assert set(chosen) == set(WEIGHTS)
    assert list(chosen.unsupported) == ["wide"]


def test_formats_without_parts_are_all_model(write_tensors: Callable[..., Path]) -> None:
    checkpoint = open_checkpoint(write_tensors({"a.w": b"12", "b.w": b"34"}))
    assert select_tensors(checkpoint) is checkpoint
    assert list(select_tensors(checkpoint, "b")) == ["w"]


@pytest.mark.parametrize(
    "key", ["optimizer", "optimizer_states", "lr_schedulers", "callbacks", "rng_state", "GradScaler_scaler"]
)
def test_what_goes_with_the_training(key: str) -> None:
    assert is_set_aside(key)


@pytest.mark.parametrize("key", ["model", "state_dict", "optimal", "scale", "rng.weight", "randomness", "ema"])
def test_what_does_not(key: str) -> None:
    assert not is_set_aside(key)
