"""The names of what a head tells apart. Torch-free."""

from __future__ import annotations

from collections.abc import Sequence

from zoo.errors import InvalidInput

__all__ = ["MAX_LABELS", "are_names", "label_names"]

MAX_LABELS = 1_000_000
"""More than any head has; a file that says more, or a slip of the hand, shall not make names for hours."""


def are_names(labels: Sequence[str]) -> bool:
    """Whether labels say what they stand for; "LABEL_0", "LABEL_1", ... don't."""
    return any(label != f"LABEL_{index}" for index, label in enumerate(labels))


def label_names(labels: Sequence[str] | None, num_labels: int | None) -> tuple[str, ...] | None:
    """The labels that a user gave or, unnamed, as many as were asked for; None when neither was given. Raises
    InvalidInput.
    """
    if num_labels is not None and (type(num_labels) is not int or not 0 < num_labels <= MAX_LABELS):
        raise InvalidInput(f"num_labels must be a whole number from 1 to {MAX_LABELS}, found {num_labels!r}.")
    if labels is not None:
        given: object = labels  # what a caller without a type checker may pass
        if (
            isinstance(given, str)
            or not isinstance(given, Sequence)
            or not all(isinstance(label, str) for label in given)
        ):
            raise InvalidInput(f"labels must be a list of texts, found {labels!r}.")
        if not labels:
            raise InvalidInput("labels must name at least one label, found [].")
        if num_labels not in (None, len(labels)):
            raise InvalidInput(f"num_labels={num_labels}, but {len(labels)} labels were given.")
        if len(set(labels)) != len(labels):
            raise InvalidInput(f"labels: a label is named twice in {labels!r}.")
        return tuple(labels)
    if num_labels is None:
        return None
    return tuple(f"LABEL_{index}" for index in range(num_labels))
