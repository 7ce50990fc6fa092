"""The bare backbone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import nn

from zoo.interfaces.cache import CacheSpec
from zoo.interfaces.config import Config
from zoo.interfaces.features import Features
from zoo.interfaces.origin import Origin

__all__ = ["Model"]


class Model(nn.Module):
    """A backbone built from a Config alone; `forward` returns Features.

    It is built on any device, the meta device included, without reading a file. Derived tensors (rotary frequencies,
    masks) are non-persistent buffers; a module that has some defines `reset_derived(device)`, which computes them,
    since a model built on the meta device has none (`weights.derived.reset_derived` calls it on every module).
    """

    config: Config
    origin: Origin | None = None
    """Set by `zoo.load` and `zoo.create` on a model that is loaded bare."""
    shared_parameters: ClassVar[Mapping[str, str]] = {}
    """What a head may ask for by role, e.g. {"input_embedding": "embed_tokens.weight"}."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config

    def forward(self, *args: Any, **kwargs: Any) -> Features:
        """Compute features; each child states its inputs and their shapes."""
        raise NotImplementedError

    def init_weights(self, generator: torch.Generator) -> None:
        """Fill every parameter as the paper says, drawing only from the generator."""
        raise NotImplementedError

    def cache_spec(self) -> CacheSpec | None:
        """What each layer keeps between decoding steps; None for a model that does not decode step by step."""
        return None
