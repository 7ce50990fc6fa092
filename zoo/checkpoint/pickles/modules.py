"""Whole modules that were pickled: what `state_dict()` would list of them, without their classes."""

from __future__ import annotations

from collections.abc import Iterator

from zoo.checkpoint.pickles.inert import Call, Collection

__all__ = ["attributes", "is_module", "state_of_module"]


def is_module(value: object) -> bool:
    """Whether an inert instance looks like a torch.nn.Module, whatever its class is called."""
    if not isinstance(value, Call) or not isinstance(value.state, dict):
        return False
    return all(isinstance(value.state.get(field), dict) for field in ("_parameters", "_buffers", "_modules"))


def state_of_module(module: Call) -> Iterator[tuple[object, object]]:
    """Its parameters, its persistent buffers and its children, in the order of `state_dict()`."""
    state = module.state
    assert isinstance(state, dict)  # is_module has seen to it
    yield from state["_parameters"].items()
    passing = state.get("_non_persistent_buffers_set")
    left_out = {name for name in passing.items if isinstance(name, str)} if isinstance(passing, Collection) else set()
    for name, buffer in state["_buffers"].items():
        if name not in left_out:
            yield name, buffer
    yield from state["_modules"].items()


def attributes(instance: Call) -> Iterator[tuple[object, object]]:
    """What any other instance holds: its attributes, then what it was made of, then what was put into it."""
    parts = instance.state if isinstance(instance.state, tuple) else (instance.state,)
    for number, part in enumerate(parts):
        if isinstance(part, dict):
            yield from part.items()
        else:
            yield f"state{number}", part
    if isinstance(instance.args, tuple):
        yield from enumerate(instance.args)
    elif instance.args is not None:
        yield "args", instance.args
    if isinstance(instance.kwargs, dict):
        yield from instance.kwargs.items()
    if instance.items is not None:
        yield from enumerate(instance.items)
    if instance.pairs is not None:
        yield from instance.pairs
