"""Pipelines: a task from raw inputs to results, in one call."""

from __future__ import annotations

import os
from typing import Any

from zoo.errors import CompositionError
from zoo.loading import load
from zoo.registry import registry, resolve_object

__all__ = ["pipeline"]


def pipeline(task: str, reference: str | os.PathLike[str], **options: Any) -> Any:
    """The pipeline of a task on a model: `zoo.pipeline("text-generation", "llama")("The capital of France is").text`.

    options: those of `zoo.load`. Raises what `zoo.load` raises, and CompositionError for a task that has no pipeline.
    """
    entry = registry().tasks.get(task)
    spec = entry.spec
    if spec.pipeline is None:
        raise CompositionError(
            f"The task '{spec.name}' has no pipeline.", hint="Use the model that `zoo.load` returns."
        )
    model, preprocessor = load(reference, task=entry.full_name, **options)
    return resolve_object(spec.pipeline)(model, preprocessor)
