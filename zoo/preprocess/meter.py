"""What one rendering of a chat template may use: processor time, work, memory and output.

A template is untrusted code, so every operation of it that repeats, or that makes a value larger than its parts, is
counted here before it happens. All limits grow with what the caller passed in, so a long conversation is never refused.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from jinja2.utils import Namespace

__all__ = ["METER", "Limits", "Meter", "OutOfBounds", "size_of"]

_STEP = 16  # units of work per operation; a character made is one unit
_ITEM = 8  # units of work per item of a container made
_WALK = 256  # characters and nodes that are gone through for one unit of work
_CLOCK_EVERY = 1024  # units of work between looks at the clock
_DEPTH = 200  # nesting; hashing a deeper tuple would run off the C stack
_INTEGER_BITS = 1 << 16

_VIEWS: tuple[type, ...] = (type({}.items()), type({}.keys()), type({}.values()))
_CONTAINERS = (list, tuple, dict, set, frozenset, *_VIEWS, Namespace)


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The bounds of a rendering. `*_per_input` are added for every character and node of what the template is given.

    seconds: processor time of the rendering thread, so that a busy machine changes nothing. work: 16 per operation,
    8 per item and 1 per character made; it bounds memory too. output: characters. nodes: of any one nested value.
    """

    seconds: float = 5.0
    work: int = 32_000_000
    work_per_input: int = 512
    output: int = 1_000_000
    output_per_input: int = 16
    nodes: int = 1_000_000


class OutOfBounds(Exception):
    """A template went past a limit. Internal: the user sees a TemplateError."""


class Meter:
    """Counts what one rendering uses, and where its assistant spans lie."""

    def __init__(self, limits: Limits, inputs: Iterable[Any] = ()) -> None:
        """inputs: plain data that the template sees; it must stay alive as long as the meter."""
        self._limits = limits
        self._weights: dict[int, int] = {}
        given = sum(self._weigh_input(value) for value in inputs)
        self._most_work = limits.work + given * limits.work_per_input
        self._most_output = limits.output + given * limits.output_per_input
        self._work = 0.0
        self._look_at_clock_at = 0.0
        self._started = time.thread_time()
        self.output_length = 0
        self.spans: list[tuple[int, int]] = []

    def spend(self, units: float) -> None:
        """Count work that is about to be done; raises OutOfBounds rather than let it happen."""
        self._work += max(units, 0)
        if self._work >= self._look_at_clock_at:
            self._check()

    def step(self, units: float = 0) -> None:
        """Count one operation, and the size of what it makes."""
        self.spend(_STEP + max(units, 0))

    def look_over(self, value: Any) -> None:
        """Count one operation that goes through a value and makes nothing of its size."""
        self.step(self.weigh(value) / _WALK)

    def emit(self, text: str) -> None:
        """Count a piece of the rendered text."""
        self.output_length += len(text)
        if self.output_length > self._most_output:
            raise OutOfBounds(f"writes more than {self._most_output:,} characters")

    def weigh(self, value: Any) -> int:
        """The characters and nodes of a value as a tree, shared parts counted each time: what printing it would cost.

        Raises OutOfBounds for a value too large, too deep or cyclic to be printed, compared or hashed.
        """
        if isinstance(value, str):
            return len(value) + 1
        if isinstance(value, int) and value.bit_length() > _INTEGER_BITS:
            raise OutOfBounds(f"makes an integer of more than {_INTEGER_BITS:,} bits")
        if not isinstance(value, _CONTAINERS):
            return 1
        return self._weigh_tree(value)

    def _weigh_tree(self, value: Any) -> int:
        weight = nodes = 0
        level = [value]
        for _ in range(_DEPTH):
            below: list[Any] = []
            for item in level:
                if isinstance(item, str):
                    weight += len(item)
                elif isinstance(item, _CONTAINERS):
                    known = self._weights.get(id(item))
                    if known is None:
                        below.extend(_parts(item))
                    else:
                        weight += known
            nodes += len(level)
            if nodes + len(below) > self._limits.nodes or weight > self._most_work:
                raise OutOfBounds(f"nests values into one of more than {self._limits.nodes:,} parts")
            if not below:
                self.spend(nodes)
                return weight + nodes
            level = below
        raise OutOfBounds(f"nests values more than {_DEPTH} deep")

    def _weigh_input(self, value: Any) -> int:
        if isinstance(value, str):
            return len(value) + 1
        if not isinstance(value, _CONTAINERS):
            return 1
        weight = 1 + sum(self._weigh_input(part) for part in _parts(value))
        self._weights[id(value)] = weight
        return weight

    def _check(self) -> None:
        if self._work > self._most_work:
            raise OutOfBounds("does more work, or makes larger values, than its input explains")
        if time.thread_time() - self._started > self._limits.seconds:
            raise OutOfBounds(f"takes more than {self._limits.seconds:g} seconds")
        self._look_at_clock_at = min(self._work + _CLOCK_EVERY, self._most_work + 1)


METER: ContextVar[Meter] = ContextVar("zoo_chat_template_meter")
"""The meter of the rendering that runs in this thread."""


def size_of(value: Any) -> int:
    """The units of work that it takes to make a value out of parts that exist."""
    if isinstance(value, str):
        return len(value)
    return _ITEM * len(value) if isinstance(value, (list, tuple, dict, set)) else 0


def _parts(container: Any) -> Iterable[Any]:
    if isinstance(container, Namespace):
        attributes: dict[str, Any] = object.__getattribute__(container, "_Namespace__attrs")
        return attributes.values()
    if isinstance(container, dict):
        return [*container.keys(), *container.values()]
    parts: Iterable[Any] = container
    return parts
