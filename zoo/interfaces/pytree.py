"""Registers dataclasses as pytrees, so that torch.compile and torch.export see the tensors inside them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, TypeVar

from torch.utils import _pytree

__all__ = ["register_pytree"]

T = TypeVar("T")


def register_pytree(static: tuple[str, ...] = ()) -> Callable[[type[T]], type[T]]:
    """A class decorator. static: fields that travel as context and are not traced."""

    def register(cls: type[T]) -> type[T]:
        names = [field.name for field in dataclasses.fields(cls)]  # type: ignore[arg-type]
        dynamic = [name for name in names if name not in static]

        def flatten(value: T) -> tuple[list[Any], Any]:
            return [getattr(value, name) for name in dynamic], tuple(getattr(value, name) for name in static)

        def flatten_with_keys(value: T) -> tuple[list[tuple[Any, Any]], Any]:
            children, context = flatten(value)
            return [(_pytree.GetAttrKey(name), child) for name, child in zip(dynamic, children, strict=True)], context

        def unflatten(children: Any, context: Any) -> T:
            return cls(**dict(zip(dynamic, children, strict=True)), **dict(zip(static, context, strict=True)))

        _pytree.register_pytree_node(
            cls,
            flatten,
            unflatten,
            serialized_type_name=f"{cls.__module__}.{cls.__qualname__}",
            flatten_with_keys_fn=flatten_with_keys,
        )
        return cls

    return register
