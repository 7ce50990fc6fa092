"""Which plugins to load: what `ZOO_PLUGINS`, `ZOO_STRICT` and the user's file of disabled plugins say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from zoo.errors import PluginError
from zoo.plugins.disabled import config_home, read_disabled
from zoo.plugins.discovery import EntryPoint, normalise_name

__all__ = ["DISABLED", "PluginSettings"]

DISABLED = "disabled; `zoo plugin enable` undoes it"
"""Why a plugin is left out that the user has switched off."""

_TRUE = ("1", "true", "yes", "on")
_FALSE = ("", "0", "false", "no", "off")


class PluginSettings(NamedTuple):
    """allowed: the plugins that may be loaded besides the built-in ones, by distribution or full name; None is all.

    strict: whether a plugin that fails is an error. disabled: those that the user has switched off, by distribution or
    full name; where `allowed` names any, these are loaded whether or not they are switched off.
    """

    allowed: frozenset[str] | None = None
    strict: bool = False
    disabled: frozenset[str] = frozenset()

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> PluginSettings:
        """`ZOO_PLUGINS`: names separated by commas; unset or empty allows all. `ZOO_STRICT`: 1 or 0."""
        names = frozenset(
            normalise_name(name) for name in environment.get("ZOO_PLUGINS", "").split(",") if name.strip()
        )
        strict = environment.get("ZOO_STRICT", "").strip().lower()
        if strict not in _TRUE + _FALSE:
            raise PluginError(
                f"ZOO_STRICT={strict!r} is neither true nor false.",
                hint="Set it to 1 to make a plugin that fails an error, or to 0.",
            )
        return cls(allowed=names or None, strict=strict in _TRUE)

    @classmethod
    def of_user(cls, environment: Mapping[str, str]) -> PluginSettings:
        """Those of the environment and, unless they name the plugins to load, the user's file of disabled ones."""
        settings = cls.from_environment(environment)
        if settings.allowed is not None:
            return settings
        return settings._replace(disabled=read_disabled(config_home(environment)))

    def reason_to_leave_out(self, entry_point: EntryPoint) -> str | None:
        """Why this plugin is not to be loaded, or None."""
        names = {entry_point.distribution, entry_point.full_name}
        if self.allowed is not None:
            return None if self.allowed & names else "not among ZOO_PLUGINS"
        return DISABLED if self.disabled & names else None

    def check_allowed(self, entry_points: Iterable[EntryPoint]) -> None:
        """Raise PluginError when a plugin that was asked for is not installed."""
        installed = {name for point in entry_points for name in (point.distribution, point.full_name)}
        missing = sorted((self.allowed or frozenset()) - installed)
        if missing:
            import difflib

            near = difflib.get_close_matches(missing[0], installed)
            raise PluginError(
                f"ZOO_PLUGINS names {', '.join(map(repr, missing))}, but no such plugin is installed.",
                hint=f"Did you mean {' or '.join(map(repr, near))}?"
                if near
                else f"Installed plugins: {', '.join(sorted(point.full_name for point in entry_points))}.",
            )
