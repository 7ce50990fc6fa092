"""Finds tensors that are made or held outside the meta device."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn
from torch.utils import _pytree
from torch.utils._python_dispatch import TorchDispatchMode

__all__ = ["allocations", "tensors_elsewhere"]


@contextmanager
def allocations() -> Iterator[list[str]]:
    """What is made inside that is not on the meta device: the operation and the shape of each tensor."""
    made: list[str] = []
    with _Recording(made):
        yield made


def tensors_elsewhere(model: nn.Module) -> list[str]:
    """The names of parameters, buffers and plain attributes of a model that are not on the meta device."""
    found = [name for name, tensor in (*model.named_parameters(), *model.named_buffers()) if not tensor.is_meta]
    for prefix, module in model.named_modules():
        for attribute, value in vars(module).items():
            if attribute.startswith("_") and attribute in ("_parameters", "_buffers", "_modules"):
                continue
            if any(isinstance(leaf, Tensor) and not leaf.is_meta for leaf in _pytree.tree_leaves(value)):
                found.append(".".join(filter(None, (prefix, attribute))))
    return found


class _Recording(TorchDispatchMode):
    def __init__(self, made: list[str]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.made = made

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        for leaf in _pytree.tree_leaves(result):
            if isinstance(leaf, Tensor) and not leaf.is_meta:
                self.made.append(f"{func} of {tuple(leaf.shape)}")
        return result
