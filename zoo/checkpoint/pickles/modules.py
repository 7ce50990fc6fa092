"""Whole modules that were pickled: what `state_dict()` would list of them, without their classes."""

from __future__ import annotations

from collections.abc import Collection as Sized
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from zoo.checkpoint.pickles.inert import Call, Collection

__all__ = ["Part", "attributes", "is_module", "state_of_module"]


class Part(NamedTuple):
    """Keys and values of an instance. source: what they are taken from, which others may hold as well."""

    source: Sized[object]
    members: Iterable[tuple[object, object]]


def is_module(value: object) -> bool:
    """Whether an inert instance looks like a torch.nn.Module, whatever its class is called."""
    if not isinstance(value, Call) or not isinstance(value.state, dict):
        return False
    return all(isinstance(value.state.get(field), dict) for field in ("_parameters", "_buffers", "_modules"))


def state_of_module(module: Call) -> Iterator[Part]:
    """Its parameters, its persistent buffers and its children, in the order of `state_dict()`."""
    state = module.state
    assert isinstance(state, dict)  # is_module has seen to it
    yield Part(state["_parameters"], state["_parameters"].items())
    buffers = state["_buffers"]
    passing = state.get("_non_persistent_buffers_set")
    if isinstance(passing, Collection) and passing.items:
        yield Part(buffers, _persistent(buffers, passing.items))
    else:
        yield Part(buffers, buffers.items())
    yield Part(state["_modules"], state["_modules"].items())


def _persistent(buffers: dict[object, object], passing: list[object]) -> Iterator[tuple[object, object]]:
    # There are no more of them than buffers, unless it is made to be walked through for every module that shares it.
    left_out = {name for name in passing[: len(buffers)] if isinstance(name, str)}
    for name, buffer in buffers.items():
        if name not in left_out:
            yield name, buffer


def attributes(instance: Call) -> Iterator[Part]:
    """What any other instance holds: its attributes, then what it was made of, then what was put into it."""
    if isinstance(instance.state, tuple):
        # The second is that of slots; no class's own __getstate__ is known.
        yield Part(instance.state, _other_states(instance.state))
        for state in instance.state[:2]:
            if isinstance(state, dict):
                yield Part(state, state.items())
    elif isinstance(instance.state, dict):
        yield Part(instance.state, instance.state.items())
    else:
        yield Part((), (("state0", instance.state),))
    if isinstance(instance.args, tuple):
        yield Part(instance.args, enumerate(instance.args))
    elif instance.args is not None:
        yield Part((), (("args", instance.args),))
    if isinstance(instance.kwargs, dict):
        yield Part(instance.kwargs, instance.kwargs.items())
    if instance.items is not None:
        yield Part(instance.items, enumerate(instance.items))
    if instance.pairs is not None:
        yield Part(instance.pairs, instance.pairs)


def _other_states(states: tuple[object, ...]) -> Iterator[tuple[object, object]]:
    for number, state in enumerate(states):
        if number > 1 or not isinstance(state, dict):
            yield f"state{number}", state
