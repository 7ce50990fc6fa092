"""Plugins: the hooks that they implement, and the manager that finds and loads them.

A plugin's module imports `hookimpl` from here and its records from `zoo.spec`, and nothing else.
"""

from __future__ import annotations

import sys
from types import ModuleType

from zoo.plugins.hooks import ENTRY_POINT_GROUP, SPEC_TYPES, hookimpl
from zoo.plugins.manager import PluginManager, plugin_manager, plugins
from zoo.plugins.records import Entry, PluginInfo

__all__ = [
    "ENTRY_POINT_GROUP",
    "SPEC_TYPES",
    "Entry",
    "PluginInfo",
    "PluginManager",
    "hookimpl",
    "plugin_manager",
    "plugins",
]


class _CallableModule(ModuleType):
    """Makes `zoo.plugins()` list the plugins although, once this package is imported, `zoo.plugins` is the package."""

    def __call__(self) -> tuple[PluginInfo, ...]:
        return plugins()


sys.modules[__name__].__class__ = _CallableModule
