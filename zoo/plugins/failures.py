"""Says what went wrong in a plugin, where to look and what to do."""

from __future__ import annotations

import sys
from types import TracebackType

from zoo.errors import PluginError
from zoo.plugins.discovery import EntryPoint

__all__ = ["blame", "full_traceback", "raised_by_plugin"]


def raised_by_plugin(entry_point: EntryPoint, doing: str, error: BaseException) -> PluginError:
    """The PluginError for what a plugin's code raised. doing: what it was doing, e.g. "importing zoo_swin._plugin"."""
    return PluginError(
        f"{doing} raised {type(error).__name__}: {error}. Look at {_place(entry_point, error)}.",
        hint=_hint(entry_point, error),
    )


def blame(entry_point: EntryPoint) -> str:
    """What to do about a mistake that only the plugin's author can mend."""
    return (
        f"Report it to the author of {entry_point.distribution}, or remove it: pip uninstall {entry_point.distribution}"
    )


def full_traceback(error: BaseException) -> str:
    """The traceback with all causes, as Python prints it."""
    import traceback  # only a failure needs it

    return "".join(traceback.format_exception(error))


def _place(entry_point: EntryPoint, error: BaseException) -> str:
    """The innermost line of the plugin's own package; where it is recorded when none of its code was reached."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    package = entry_point.target.partition(":")[0].partition(".")[0]
    place = entry_point.source
    step: TracebackType | None = error.__traceback__
    while step is not None:
        if step.tb_frame.f_globals.get("__name__", "").partition(".")[0] == package:
            place = f"{step.tb_frame.f_code.co_filename}:{step.tb_lineno}"
        step = step.tb_next
    return place


def _hint(entry_point: EntryPoint, error: BaseException) -> str:
    distribution = entry_point.distribution
    if isinstance(error, ImportError) and error.name:
        root = error.name.partition(".")[0]
        if root == "zoo":
            return (
                f"{distribution} {entry_point.version} may be written for another version of zoo-sdk: "
                "install versions that belong together, from where these came."
            )
        if isinstance(error, ModuleNotFoundError) and root == entry_point.target.partition(".")[0]:
            return (
                "Its files are missing or its entry point is wrong: "
                f"install {distribution} again, from where this one came."
            )
        if isinstance(error, ModuleNotFoundError) and root not in sys.stdlib_module_names:
            return (
                f"Install {distribution} again with what it needs, from where this one came, "
                f"or tell its author that listing plugins should not import {root}."
            )
    return blame(entry_point)
