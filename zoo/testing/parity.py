"""Comparing a model with its reference implementation."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from torch import Tensor, nn

from zoo.checkpoint import open_checkpoint, read_bytes

__all__ = ["assert_logits_agree", "assert_same_tensors", "shake"]


def shake(model: nn.Module, seed: int = 0, scale: float = 0.1) -> None:
    """Add noise to every parameter, in place.

    In a fresh model biases are zero and norms are one, which hides a parameter that is not used.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            noise = torch.randn(parameter.shape, generator=generator) * scale
            parameter.add_(noise.to(parameter))


def assert_logits_agree(actual: Tensor, expected: Tensor, tolerance: float = 1e-4) -> None:
    """The largest difference is at most tolerance x max(1, largest |expected|).

    Both must be finite and of one shape.
    """
    if actual.shape != expected.shape:
        raise AssertionError(f"shapes differ: {tuple(actual.shape)}, expected {tuple(expected.shape)}")
    if not (actual.isfinite().all() and expected.isfinite().all()):
        raise AssertionError("there are values that are not finite")
    actual, expected = actual.double(), expected.double()
    difference = (actual - expected).abs()
    allowed = tolerance * max(1.0, expected.abs().max().item())
    if difference.max().item() > allowed:
        place = [int(index) for index in torch.unravel_index(difference.argmax(), difference.shape)]
        raise AssertionError(
            f"the largest difference is {difference.max().item():.3e} at {place}, allowed are {allowed:.3e} "
            f"(there {actual[tuple(place)].item():.6g}, expected {expected[tuple(place)].item():.6g})"
        )


def assert_same_tensors(actual: str | os.PathLike[str], expected: str | os.PathLike[str]) -> None:
    """Two checkpoints hold the same tensors, byte for byte: names, dtypes, shapes and contents, however they are
    sharded.
    """
    ours, theirs = open_checkpoint(Path(actual)), open_checkpoint(Path(expected))
    if set(ours) != set(theirs):
        raise AssertionError(
            f"only in {actual}: {sorted(set(ours) - set(theirs))}; "
            f"only in {expected}: {sorted(set(theirs) - set(ours))}"
        )
    for name, record in ours.items():
        other = theirs[name]
        if (record.dtype, record.shape) != (other.dtype, other.shape):
            raise AssertionError(
                f"{name}: {record.dtype.name} {record.shape}, expected {other.dtype.name} {other.shape}"
            )
        if b"".join(read_bytes(record)) != b"".join(read_bytes(other)):
            raise AssertionError(f"{name}: the bytes differ")
