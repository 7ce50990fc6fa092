"""Descriptions of what is there: contributions of plugins, checkpoints, the environment. Torch-free.

A description is made of what JSON is made of, with stable keys; `zoo info` and `zoo env` print it.
"""

from __future__ import annotations

import os

from zoo.describe.entries import describe_entry, shortest_name
from zoo.describe.json_types import Description, Json
from zoo.describe.plugin import describe_plugin

__all__ = [
    "Description",
    "Json",
    "describe",
    "describe_entry",
    "describe_environment",
    "describe_plugin",
    "shortest_name",
]


def describe(reference: str | os.PathLike[str], kind: str | None = None) -> Description:
    """What a name or reference means: an architecture, task, head, preset, ... or a checkpoint (see `zoo.source`).

    What is written as a path or has a scheme is a checkpoint; otherwise names come before the file system. kind: look
    only among the "architectures", "heads", and so on; where several kinds have the name, "also" lists the others.
    The key "kind" says what was found.

    Raises NameNotFound, AmbiguousName, and for checkpoints what opening them raises.
    """
    from zoo.describe.lookup import describe_reference

    return describe_reference(reference, kind)


def describe_environment(*, with_torch: bool = True) -> Description:
    """Versions, devices, plugins and settings, for a bug report. with_torch: import torch to ask it for its devices."""
    from zoo.describe.environment import environment

    return environment(with_torch=with_torch)
