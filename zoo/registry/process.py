"""The registry of the process."""

from __future__ import annotations

import os

from zoo.log import logger
from zoo.plugins.manager import plugin_manager
from zoo.plugins.once import Once
from zoo.plugins.records import Entry
from zoo.registry.catalogs import THIS_PROCESS, Registry, preferences
from zoo.spec import ArchitectureSpec, Spec, TaskSpec

__all__ = ["architectures", "register", "registry", "tasks"]


def _build() -> Registry:
    manager = plugin_manager()
    return Registry(manager.entries, plugins=manager.plugins, prefer=preferences(os.environ.get("ZOO_PREFER", "")))


registry = Once(_build, "The registry's names")
"""The registry of the installed plugins' contributions, which the first call builds."""


def architectures() -> tuple[Entry[ArchitectureSpec], ...]:
    """The architectures that can be loaded, sorted by name."""
    return registry().architectures.entries()


def tasks() -> tuple[Entry[TaskSpec], ...]:
    """The tasks that are known, sorted by name."""
    return registry().tasks.entries()


def register(spec: Spec, *, replace: bool = False) -> None:
    """Add an architecture, head or other spec for this process only, e.g. in a notebook; a package uses hooks.

    Its full name is "(this process):" and its name. A name that a plugin claims as well is ambiguous from then on.
    replace: whether it may take the place of what this process registered under its name before.
    Raises PluginError for what is no spec, or takes a name that this process has given to another one.
    """
    registry().register(spec, replace=replace)
    logger.info(
        "Registered %s as %s:%s. That is for this process only; a package with an entry point of the group "
        "zoo.plugins makes it permanent.",
        type(spec).__name__, THIS_PROCESS, spec.name,
    )  # fmt: skip
