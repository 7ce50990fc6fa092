"""The plugin manager: imports each installed plugin, asks it once for all it contributes, and keeps failures apart."""

from __future__ import annotations

import contextlib
import functools
import importlib
import os
import sys
import time
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

import pluggy

import zoo.spec
from zoo import __version__
from zoo.errors import PluginError
from zoo.log import logger
from zoo.plugins import hooks
from zoo.plugins.contract import check_api_version, checked_manifest, checked_specs
from zoo.plugins.discovery import Distributions, EntryPoint
from zoo.plugins.failures import blame, full_traceback, raised_by_plugin
from zoo.plugins.once import Once
from zoo.plugins.records import Entry, PluginInfo
from zoo.plugins.settings import PluginSettings
from zoo.spec import Manifest, Spec

__all__ = ["BUILT_IN", "PluginManager", "plugin_manager", "plugins"]

BUILT_IN = EntryPoint("zoo-sdk", __version__, "builtin", "zoo.builtin", source=os.path.dirname(zoo.spec.__file__))
"""What zoo-sdk itself contributes. No installed metadata declares it, so that a source tree has it, too."""


class PluginManager:
    """The plugins among some entry points, each loaded or known to have failed.

    pluggy's own loading of entry points stops at the first broken plugin and drops the second of two with one name.
    So they are loaded here one by one, under "distribution:name"; nothing is used of a plugin that raises or breaks the
    contract, and the others never notice. pluggy holds a plugin only while it is asked: what it does for each grows
    with how many it holds.
    """

    def __init__(self, entry_points: Iterable[EntryPoint], settings: PluginSettings | None = None) -> None:
        """settings: load all by default. Raises PluginError in strict mode, when a plugin fails."""
        settings = settings if settings is not None else PluginSettings()
        self._pluggy = pluggy.PluginManager(hooks.PROJECT)
        self._pluggy.add_hookspecs(hooks)
        self._infos: list[PluginInfo] = []
        self._names: set[str] = set()
        self._loaded: dict[int, tuple[object, str]] = {}  # by identity, which is a plugin's own while it is held
        self._entries: dict[str, list[Entry[Spec]]] = {kind: [] for kind in hooks.SPEC_TYPES}
        for entry_point in entry_points:
            self._load(entry_point, settings)
        if settings.strict:
            self._raise_failures()

    @property
    def plugins(self) -> tuple[PluginInfo, ...]:
        """Every plugin that is installed, in the order of the entry points."""
        return tuple(self._infos)

    @property
    def entries(self) -> Mapping[str, tuple[Entry[Spec], ...]]:
        """For each kind of contribution, what the loaded plugins contribute."""
        return {kind: tuple(entries) for kind, entries in self._entries.items()}

    def _load(self, entry_point: EntryPoint, settings: PluginSettings) -> None:
        info = PluginInfo(
            name=entry_point.full_name,
            distribution=entry_point.distribution,
            version=entry_point.version,
            target=entry_point.target,
            source=entry_point.source,
        )
        left_out = None if entry_point == BUILT_IN else settings.reason_to_leave_out(entry_point)
        if left_out is not None:
            self._infos.append(info._replace(left_out=left_out))
            return
        started = time.perf_counter()
        try:
            # What a plugin prints is no part of what this process has to say.
            with contextlib.redirect_stdout(sys.stderr):
                manifest, contributions = self._ask(entry_point)
        except PluginError as error:
            if not settings.strict:
                logger.warning("The plugin %s %s is not used: %s", info.name, info.version, error)
            info = info._replace(failure=str(error), traceback=full_traceback(error))
        else:
            for kind, specs in contributions.items():
                self._entries[kind] += [Entry(spec, info.distribution, info.version, info.name) for spec in specs]
            info = info._replace(
                manifest=manifest,
                contributes=_names(contributions),
                fallbacks=_names({k: [spec for spec in specs if spec.fallback] for k, specs in contributions.items()}),
            )
        self._infos.append(info._replace(load_seconds=time.perf_counter() - started))

    def _ask(self, entry_point: EntryPoint) -> tuple[Manifest, dict[str, list[Spec]]]:
        """What a plugin contributes. Raises PluginError for whatever goes wrong."""
        name = entry_point.full_name
        if name in self._names:
            raise PluginError(
                f"The entry point {entry_point.name!r} is declared twice in {entry_point.source}.",
                hint=blame(entry_point),
            )
        self._names.add(name)
        plugin = _import(entry_point)
        _, loaded_as = self._loaded.get(id(plugin), (None, None))
        if loaded_as is not None:
            raise PluginError(
                f"Its entry point leads to {entry_point.target}, which is the plugin {loaded_as} already.",
                hint="Two distributions that hold the same package overwrite each other: uninstall one of them.",
            )
        # Before pluggy sees the plugin: hooks and arguments of a newer contract would be errors that hide the reason.
        is_marked = self._pluggy.parse_hookimpl_opts(plugin, "zoo_manifest") is not None
        manifest = checked_manifest(entry_point, plugin.zoo_manifest if is_marked else None)
        check_api_version(entry_point, manifest)
        try:
            self._register(plugin, entry_point)
            contributions = checked_specs(entry_point, self._implementations(plugin))
        finally:
            if self._pluggy.has_plugin(name):
                self._pluggy.unregister(name=name)
        self._loaded[id(plugin)] = plugin, name
        return manifest, contributions

    def _register(self, plugin: object, entry_point: EntryPoint) -> None:
        try:
            self._pluggy.register(plugin, name=entry_point.full_name)
        except Exception as error:  # PluginValidationError, or what the plugin's own attributes raise
            raise raised_by_plugin(entry_point, f"registering {entry_point.target}", error) from error

    def _implementations(self, plugin: object) -> dict[str, list[pluggy.HookImpl]]:
        """The plugin's implementations under the name of each hook, known or not."""
        return {
            hook.name: [each for each in hook.get_hookimpls() if each.plugin is plugin]
            for hook in self._pluggy.get_hookcallers(plugin) or ()
        }

    def _raise_failures(self) -> None:
        failed = [info for info in self._infos if info.failure is not None]
        if failed:
            raise PluginError(
                "\n\n".join(f"The plugin {info.name} {info.version} failed: {info.failure}" for info in failed),
                hint="ZOO_STRICT=1 makes this an error; without it the other plugins could be used.",
            )


def _import(entry_point: EntryPoint) -> Any:
    module, _, path = entry_point.target.partition(":")
    if not module:
        raise PluginError(
            f"The entry point {entry_point.name!r} in {entry_point.source} does not say which module to import.",
            hint=blame(entry_point),
        )
    try:
        plugin: Any = importlib.import_module(module)
        plugin = functools.reduce(getattr, path.split(".") if path else (), plugin)
    except (Exception, SystemExit) as error:
        raise raised_by_plugin(entry_point, f"importing {entry_point.target}", error) from error
    if plugin is None:
        raise PluginError(
            f"Its entry point leads to {entry_point.target}, which is None.",
            hint=blame(entry_point),
        )
    return plugin


def _names(contributions: Mapping[str, Iterable[Spec]]) -> Mapping[str, tuple[str, ...]]:
    names = {kind: tuple(spec.name for spec in specs) for kind, specs in contributions.items()}
    return MappingProxyType({kind: each for kind, each in names.items() if each})


def _load_installed() -> PluginManager:
    found = Distributions().entry_points(hooks.ENTRY_POINT_GROUP)
    entry_points = (BUILT_IN, *(each for each in found if each.full_name != BUILT_IN.full_name))
    settings = PluginSettings.of_user(os.environ)
    settings.check_allowed(entry_points)
    manager = PluginManager(entry_points, settings)
    logger.debug("%d plugins: %s", len(manager.plugins), ", ".join(info.name for info in manager.plugins))
    return manager


plugin_manager = Once(_load_installed, "The plugins")
"""The manager of the plugins that are installed, which are loaded by the first call."""


def plugins() -> tuple[PluginInfo, ...]:
    """The installed plugins: what each contributes, and what went wrong with those that failed."""
    return plugin_manager().plugins
