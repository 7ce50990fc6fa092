"""`zoo plugin disable` and `zoo plugin enable`: neither imports any plugin."""

from __future__ import annotations

import os

import click

from zoo.cli.output import json_option, print_json
from zoo.errors import NameNotFound, PluginError
from zoo.plugins.disabled import config_home, read_disabled, write_disabled
from zoo.plugins.discovery import Distributions, EntryPoint, normalise_name
from zoo.plugins.hooks import ENTRY_POINT_GROUP
from zoo.plugins.manager import BUILT_IN

__all__ = ["disable", "enable"]


@click.command()
@click.argument("name")
@json_option
def disable(name: str, as_json: bool) -> None:
    """Don't load the plugin NAME from now on: a distribution, a plugin's full name, or the name of its entry point.

    It is left installed, and nothing of it is imported, now or later, unless ZOO_PLUGINS names it. That is written in
    the file disabled-plugins.txt in ZOO_CONFIG_HOME or, by default, in zoo's directory among the user's settings.
    """
    chosen = _installed(name)
    directory = config_home(os.environ)
    disabled = read_disabled(directory)
    is_news = chosen not in disabled
    path = write_disabled(directory, disabled | {chosen}) if is_news else None
    if as_json:
        print_json({"name": chosen, "disabled": True, "changed": is_news})
    elif path is not None:
        click.echo(f"{chosen} is disabled ({path}). `zoo plugin enable {chosen}` undoes it.")
    else:
        click.echo(f"{chosen} was disabled already.")
    _warn_of_allowlist()


@click.command()
@click.argument("name")
@json_option
def enable(name: str, as_json: bool) -> None:
    """Load the plugin NAME again, which was disabled."""
    directory = config_home(os.environ)
    disabled = read_disabled(directory)
    chosen = _among(name, disabled) or _installed(name)  # the latter raises for a name that means nothing
    _refuse_part(chosen, disabled)
    lines = {each for each in disabled if chosen in (each, each.partition(":")[0])}
    is_news = bool(lines)
    if is_news:
        write_disabled(directory, disabled - lines)
    if as_json:
        print_json({"name": chosen, "disabled": False, "changed": is_news})
    else:
        click.echo(f"{chosen} is enabled." if is_news else f"{chosen} was not disabled.")
    _warn_of_allowlist()


def _installed(name: str) -> str:
    """The distribution, or full name of a plugin, that is meant. Raises NameNotFound or PluginError."""
    wanted = normalise_name(name)
    found = Distributions().entry_points(ENTRY_POINT_GROUP)
    if wanted in (BUILT_IN.distribution, BUILT_IN.full_name):
        raise PluginError(f"{wanted} is what zoo itself brings, which can't be disabled.")
    others = [each for each in found if each.full_name != BUILT_IN.full_name]
    if wanted in {known for each in others for known in (each.distribution, each.full_name)}:
        return wanted
    of_name = [each for each in others if each.name == name]
    if len(of_name) == 1:
        return of_name[0].full_name
    if of_name:
        raise NameNotFound(
            f"Several plugins are called {name!r}.",
            hint=f"Give one of {', '.join(each.full_name for each in of_name)}.",
        )
    raise NameNotFound(f"No plugin {name!r} is installed.", hint=_near(wanted, others))


def _near(wanted: str, installed: list[EntryPoint]) -> str:
    import difflib

    names = sorted({name for each in installed for name in (each.distribution, each.full_name, each.name)})
    near = difflib.get_close_matches(wanted, names)
    if near:
        return f"Did you mean {' or '.join(map(repr, near))}?"
    return f"Installed: {', '.join(each.full_name for each in installed) or 'none'}."


def _among(name: str, disabled: frozenset[str]) -> str | None:
    """The disabled name that is meant, whether or not it is installed any more."""
    wanted = normalise_name(name)
    if wanted in disabled:
        return wanted
    of_name = [each for each in disabled if each.partition(":")[2] == name]
    return of_name[0] if len(of_name) == 1 else None


def _refuse_part(name: str, disabled: frozenset[str]) -> None:
    """Raise PluginError for a plugin that would stay disabled with all of its distribution."""
    distribution, colon, _ = name.partition(":")
    if colon and distribution in disabled:
        raise PluginError(f"{distribution} is disabled as a whole.", hint=f"zoo plugin enable {distribution}")


def _warn_of_allowlist() -> None:
    if os.environ.get("ZOO_PLUGINS", "").strip(" ,"):
        click.echo("ZOO_PLUGINS is set: it alone says which plugins this shell loads.", err=True)
