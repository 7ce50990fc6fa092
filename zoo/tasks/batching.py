"""Many inputs, a batch of them in memory at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

from zoo.errors import InvalidInput
from zoo.tasks.counts import require_count

__all__ = ["batched"]

T = TypeVar("T")


def batched(inputs: Iterable[T], batch_size: int, what: str) -> Iterator[tuple[int, list[T]]]:
    """Batches in the order of the inputs, each with the number of inputs before it, so that messages can count them.

    what: they are, for messages: "An image". Raises InvalidInput for a batch_size that is no count and for what can't
    be iterated over, when the first batch is asked for.
    """
    require_count("batch_size", batch_size)
    given: object = inputs  # what a caller without a type checker may pass
    if not isinstance(given, Iterable):
        raise InvalidInput(f"{what} or several were expected; found a value of type {type(given).__name__}.")
    remaining, done = iter(inputs), 0
    while batch := list(islice(remaining, batch_size)):
        yield done, batch
        done += len(batch)
