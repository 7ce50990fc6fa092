"""Holds a plugin to the contract: what its hooks may return, and the version it was written for."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from zoo.errors import PluginError
from zoo.plugins.discovery import EntryPoint
from zoo.plugins.failures import blame, raised_by_plugin
from zoo.plugins.hooks import SPEC_TYPES
from zoo.spec import API_VERSION, Manifest, Spec

if TYPE_CHECKING:
    from pluggy import HookImpl

__all__ = ["OLDEST_API_VERSION", "check_api_version", "checked_manifest", "checked_specs"]

OLDEST_API_VERSION = 1
"""The oldest version of the plugin contract that this zoo-sdk still understands."""


def checked_manifest(entry_point: EntryPoint, implementation: Callable[[], Any] | None) -> Manifest:
    """What a plugin's zoo_manifest returns. Raises PluginError if it has none, or it returns something else."""
    if implementation is None:
        raise _broken(entry_point, "zoo_manifest", "no function of this name is marked with zoo.plugins.hookimpl")
    manifest = _call(entry_point, "zoo_manifest", implementation)
    if not isinstance(manifest, Manifest):
        problem = f"returned {_kind_of(manifest)}; a zoo.spec.Manifest was expected"
        raise _broken(entry_point, "zoo_manifest", problem, implementation)
    return manifest


def check_api_version(entry_point: EntryPoint, manifest: Manifest) -> None:
    """Raise PluginError for a plugin that was written for a contract which this zoo-sdk does not know, or no longer."""
    version: object = manifest.api_version  # whatever the plugin wrote there
    if not isinstance(version, int) or isinstance(version, bool):
        raise _broken(entry_point, "zoo_manifest", f"api_version={version!r} is not a whole number")
    if OLDEST_API_VERSION <= version <= API_VERSION:
        return
    if version > API_VERSION:
        outdated, hint = "zoo-sdk", "Install a newer zoo-sdk, from where this one came."
    else:
        outdated, hint = "plugin", f"Install a newer {entry_point.distribution}, from where this one came."
    known = " to ".join(map(str, sorted({OLDEST_API_VERSION, API_VERSION})))
    raise PluginError(
        f"It is written for version {version} of the plugin contract; this zoo-sdk knows {known}. "
        f"The {outdated} is too old.",
        hint=hint,
    )


def checked_specs(entry_point: EntryPoint, implementations: Mapping[str, Sequence[HookImpl]]) -> dict[str, list[Spec]]:
    """For each kind, what a plugin's hooks return. Raises PluginError for the first thing that is not as it must be."""
    contributions: dict[str, list[Spec]] = {}
    for hook, of_hook in implementations.items():
        kind = hook.removeprefix("zoo_")
        if kind not in SPEC_TYPES:
            for implementation in of_hook:
                if hook != "zoo_manifest" and not implementation.optionalhook:
                    raise _broken(entry_point, hook, _unknown_hook(hook), implementation.function)
            continue
        specs: list[Spec] = []
        for implementation in of_hook:
            function = implementation.function
            if implementation.wrapper or implementation.hookwrapper:
                raise _broken(entry_point, hook, "is a wrapper, which would change what others contribute", function)
            # pluggy's own call would run this hook of all plugins, and pass over a None.
            specs += _checked_result(entry_point, hook, SPEC_TYPES[kind], _call(entry_point, hook, function), function)
        _check_names(entry_point, hook, specs, of_hook[0].function)
        contributions[kind] = specs
    return contributions


def _call(entry_point: EntryPoint, hook: str, implementation: Callable[[], Any]) -> Any:
    try:
        result = implementation()
        # What is made on demand is made now, since that may raise as well.
        return list(result) if isinstance(result, Iterator) else result
    except (Exception, SystemExit) as error:
        raise raised_by_plugin(entry_point, f"its hook {hook}", error) from error


def _checked_result(
    entry_point: EntryPoint, hook: str, expected: type[Spec], result: Any, implementation: Callable[[], Any]
) -> list[Spec]:
    if isinstance(result, str | Mapping) or not isinstance(result, Collection):
        problem = f"returned {_kind_of(result)}; a list of {expected.__name__}s was expected"
        raise _broken(entry_point, hook, problem, implementation)
    for spec in result:
        if not isinstance(spec, expected):
            belongs = [f" (which belongs in zoo_{kind})" for kind, each in SPEC_TYPES.items() if isinstance(spec, each)]
            problem = f"returned {_kind_of(spec)}{''.join(belongs)}; {expected.__name__}s were expected"
            raise _broken(entry_point, hook, problem, implementation)
    return list(result)


def _check_names(entry_point: EntryPoint, hook: str, specs: Sequence[Spec], implementation: Callable[[], Any]) -> None:
    owners: dict[str, Spec] = {}
    for spec in specs:
        for name in dict.fromkeys((spec.name, *spec.aliases)):
            if name in owners:
                problem = f"returned two specs that go by {name!r}: {owners[name].name!r} and {spec.name!r}"
                raise _broken(entry_point, hook, problem, implementation)
            owners[name] = spec


def _unknown_hook(hook: str) -> str:
    import difflib

    known = ["zoo_manifest", *(f"zoo_{kind}" for kind in SPEC_TYPES)]
    near = difflib.get_close_matches(hook, known, n=1)
    return f"there is no such hook; {f'did you mean {near[0]}?' if near else 'the hooks are ' + ', '.join(known)}"


def _broken(
    entry_point: EntryPoint, hook: str, problem: str, implementation: Callable[[], Any] | None = None
) -> PluginError:
    code = getattr(implementation, "__code__", None)
    place = f"{code.co_filename}:{code.co_firstlineno}" if code is not None else entry_point.target
    return PluginError(
        f"Its hook {hook}: {problem}. Look at {place}.",
        hint=blame(entry_point),
    )


def _kind_of(value: object) -> str:
    if value is None:
        return "None"
    name = getattr(value, "name", None) if isinstance(value, Spec) else None
    kind = type(value).__name__
    return f"{kind} {name!r}" if name else f"{'an' if kind[0] in 'AEIOUaeiou' else 'a'} {kind}"
