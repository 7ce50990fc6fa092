"""Where a model came from and what it is made of, by name: what saving and pipelines need to know of it. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from zoo.interfaces.frozen import FrozenDict

__all__ = ["Origin"]


@dataclass(frozen=True, kw_only=True)
class Origin:
    """architecture, neck, head: full names in the registry. task: its canonical id; None for a bare backbone.

    reference: what was loaded; None for random weights. generation_config: the contents of generation_config.json.
    report: what happened to stored tensors that did not simply become parameters (`weights.assign.LoadReport`).
    """

    architecture: str
    neck: str | None = None
    head: str | None = None
    task: str | None = None
    reference: str | None = None
    generation_config: Mapping[str, Any] = field(default_factory=FrozenDict)
    report: Any = None
