"""The group of all commands that plugins contribute."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from zoo.describe import shortest_name
from zoo.errors import NameNotFound, PluginError
from zoo.registry import registry, resolve_object

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

__all__ = ["PluginGroup"]

UNDER_ALL = "plugin"
"""The command that switches plugins off. It is found without asking any: loading one may be what crashes or hangs."""


class PluginGroup(click.Group):
    """Commands are known by their specs; the module of one is imported when it is invoked, and no other's.

    So `--help` costs nothing, and a command that can't be imported breaks nothing but itself.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for name, _ in _summaries()]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name == UNDER_ALL:
            from zoo.cli.plugin import command as plugin

            return plugin
        entry = registry().commands.find(cmd_name)
        if entry is None:
            return None
        command = resolve_object(entry.spec.command)
        if not isinstance(command, click.Command):
            raise PluginError(
                f"The command '{entry.full_name}' of the plugin {entry.plugin} {entry.version} is no click.Command: "
                f"{entry.spec.command} is a {type(command).__name__}.",
                hint=f"Report it to the author of {entry.distribution}.",
            )
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if not ctx.resilient_parsing and not name.startswith("-") and name != UNDER_ALL:
            try:
                registry().commands.get(name)
            except NameNotFound as error:
                raise click.UsageError(str(error), ctx) from error
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(_summaries())

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        commands = [CompletionItem(name, help=text) for name, text in _summaries() if name.startswith(incomplete)]
        return commands + click.Command.shell_complete(self, ctx, incomplete)


def _summaries() -> Sequence[tuple[str, str]]:
    """(name, summary) of all commands, in the order of their names."""
    commands = registry().commands
    return [(shortest_name(commands, entry), entry.spec.summary) for entry in commands]
