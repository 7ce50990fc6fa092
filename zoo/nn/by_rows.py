"""Feed-forward networks over a part of the positions at a time, so that what lies between stays in the cache."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["by_rows"]

LARGE = 2**22
"""Elements of a hidden layer from which on it does not fit into a processor's cache."""

AT_A_TIME = 2**19
"""Elements of a hidden layer that do."""


def by_rows(network: Callable[[Tensor], Tensor], x: Tensor, hidden: int) -> Tensor:
    """network(x), for a network that sees every vector of x (..., channels) by itself and makes `hidden` numbers of it
    on the way.

    In inference on the CPU large inputs are worked on in parts, since a hidden layer that is written to memory and read
    again takes as long as the products. Elsewhere, and where a graph is recorded, it is one call.
    """
    rows = x.numel() // max(x.shape[-1], 1)
    if rows * hidden < LARGE or x.device.type != "cpu" or torch.is_grad_enabled() or torch.compiler.is_compiling():
        return network(x)
    parts = torch.split(x.reshape(rows, x.shape[-1]), max(AT_A_TIME // hidden, 1))
    return torch.cat([network(part) for part in parts]).view(*x.shape[:-1], -1)
