"""`zoo plugin`: write a plugin, check one, switch one off and on again.

The modules of `new` and `check` are imported when they are invoked: switching a plugin off must work whatever else does
not.
"""

from __future__ import annotations

import importlib

import click

__all__ = ["command"]

_COMMANDS = {
    "new": ("zoo.cli.plugin_new", "Write a plugin package that works and passes its tests"),
    "check": ("zoo.cli.plugin_check", "Hold installed plugins to the contract, and run their own tests"),
    "disable": ("zoo.cli.plugin_disabling", "Don't load a plugin any more, without importing it"),
    "enable": ("zoo.cli.plugin_disabling", "Load a plugin again that was disabled"),
}
"""For each subcommand, the module that has it under its name, and its line in the help."""


class _Group(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        found: click.Command = getattr(importlib.import_module(_COMMANDS[cmd_name][0]), cmd_name)
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in _COMMANDS.items()])


@click.group(
    cls=_Group,
    epilog="""\b
Examples:
  zoo plugin new zoo-mynet --architecture   a package in ./zoo-mynet
  zoo plugin check zoo-mynet                does it keep to the contract?
  zoo plugin disable zoo-mynet              leave it out from now on
  zoo plugins                               all that are installed""",
)
def command() -> None:
    """Write, check, disable or enable a plugin."""
