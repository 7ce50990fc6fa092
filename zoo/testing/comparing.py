"""Features as tensors by name, and comparisons that say which of them differs, where and by how much."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree

from zoo.interfaces.features import Features
from zoo.testing.failing import fail
from zoo.testing.parity import assert_logits_agree

__all__ = ["compare", "loss_of", "tensors_of"]


def tensors_of(value: Any) -> dict[str, Tensor]:
    """The tensors inside of Features, or of a head's output, by where they are: "tokens", "maps.0", "extras.pooled"."""
    if isinstance(value, Features):
        value = {
            "maps": value.maps,
            "tokens": value.tokens,
            "vector": value.vector,
            "mask": value.mask,
            "extras": value.extras,
        }
    leaves, _ = _pytree.tree_flatten_with_path(value)
    return {_place(path): leaf for path, leaf in leaves if isinstance(leaf, Tensor)}


def compare(actual: Any, expected: Any, tolerance: float, problem: str, change: str) -> None:
    """Fail where the tensors inside differ by more than tolerance x max(1, the largest), or there are others.

    problem: what it means that they differ; change: what to change.
    """
    ours, theirs = tensors_of(actual), tensors_of(expected)
    if ours.keys() != theirs.keys():
        fail(
            f"{problem}: one gives {', '.join(ours) or 'nothing'}; the other {', '.join(theirs) or 'nothing'}.", change
        )
    for name, tensor in ours.items():
        try:
            assert_logits_agree(tensor, theirs[name], tolerance)
        except AssertionError as error:
            fail(f"{problem}: {name}: {error}.", change)


def loss_of(value: Any) -> Tensor:
    """A number that depends on every element of every floating-point tensor inside, on each in its own measure, so that
    no normalisation makes a gradient vanish.
    """
    generator = torch.Generator().manual_seed(1)
    parts: list[Tensor] = []
    for tensor in tensors_of(value).values():
        if tensor.is_floating_point():
            weights = torch.randn(tensor.shape, generator=generator)
            parts.append((tensor * weights.to(tensor)).sum())
    if not parts:
        fail("The output has no floating-point tensor.", "Return Features with maps, tokens or a vector.")
    return torch.stack(parts).sum()


def rows(inputs: Mapping[str, Any], first: int, last: int) -> dict[str, Any]:
    """Some rows of a batch of inputs."""
    return {name: value[first:last] if isinstance(value, Tensor) else value for name, value in inputs.items()}


def _place(path: tuple[Any, ...]) -> str:
    parts = []
    for key in path:
        for attribute in ("key", "idx", "name"):
            if hasattr(key, attribute):
                parts.append(str(getattr(key, attribute)))
                break
    return ".".join(parts) or "output"
