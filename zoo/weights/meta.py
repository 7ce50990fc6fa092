"""Building a model without memory, and without initialising it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

__all__ = ["without_initialisation", "without_memory"]

_RANDOM = frozenset(("bernoulli_", "exponential_", "normal_", "random_", "uniform_"))


@contextmanager
def without_memory() -> Iterator[None]:
    """Modules built inside have parameters on the meta device, and their constructors' initialisation is skipped.

    On the meta device it would do nothing, but torch would import its compiler for it: two seconds, and 80 MB.
    """
    with torch.device("meta"), _SkipInitialisation():
        yield


@contextmanager
def without_initialisation() -> Iterator[None]:
    """Modules built inside have parameters of whatever values, for `init_weights` to fill, and the buffers that their
    constructors made. No random number is drawn.
    """
    with torch.device("cpu"), _SkipInitialisation():
        yield


class _SkipInitialisation(TorchFunctionMode):
    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__module__", None) == "torch.nn.init" or getattr(func, "__name__", None) in _RANDOM:
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)
