"""Options that a task's pipeline brings: its settings, without a line about any of them here."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

import click

from zoo.cli.settings import keywords
from zoo.registry import registry, resolve_object

__all__ = ["TaskCommand", "pipeline_class"]


def pipeline_class(task: str) -> Any:
    """The class of a task's pipeline; None where it has none. Imports it."""
    reference = registry().tasks.get(task).spec.pipeline
    return None if reference is None else resolve_object(reference)


class TaskCommand(click.Command):
    """A command whose first argument is a task, and which takes what the task's pipeline takes by keyword as an option
    of that name: `--window 512` for `--set window=512`.

    Nothing is imported for it as long as all options are the command's own.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        own = self._own_options(ctx)
        words = list(_words(args, own))
        unknown = [word for word in words if word.option is not None]
        task = next((word.tokens[0] for word in words if word.is_argument), None)
        if unknown and task is not None and not ctx.resilient_parsing:
            found = pipeline_class(task)
            names = keywords(found.__call__) if isinstance(found, type) else []
            args = [token for word in words for token in _as_setting(word, names, own, ctx)]
        return super().parse_args(ctx, args)

    def _own_options(self, ctx: click.Context) -> Mapping[str, bool]:
        """Their names, and whether they take a value."""
        options = [parameter for parameter in self.get_params(ctx) if isinstance(parameter, click.Option)]
        return {
            name: not (option.is_flag or option.count)
            for option in options
            for name in (*option.opts, *option.secondary_opts)
        }


class _Word(NamedTuple):
    """An argument, or an option with its value. option: its name, where the command does not have it."""

    tokens: list[str]
    option: str | None = None
    is_argument: bool = False


def _words(args: Sequence[str], own: Mapping[str, bool]) -> Iterator[_Word]:
    """What belongs together, each with its value. An option that the command does not have is taken to have one."""
    remaining = iter(args)
    for token in remaining:
        name, equals, _ = token.partition("=")
        if token == "--":
            yield _Word([token, *remaining])
        elif not token.startswith("-") or token == "-":
            yield _Word([token], is_argument=True)
        else:
            is_own = name in own or not token.startswith("--")
            has_value = not equals and own.get(name, not is_own)
            value = list(islice(remaining, 1)) if has_value else []
            yield _Word([token, *value], option=None if is_own else name)


def _as_setting(word: _Word, names: Sequence[str], own: Iterable[str], ctx: click.Context) -> list[str]:
    if word.option is None:
        return word.tokens
    name = word.option.removeprefix("--").replace("-", "_")
    if name not in names:
        options = [*own, *(f"--{each.replace('_', '-')}" for each in names)]
        raise click.NoSuchOption(word.option, possibilities=difflib.get_close_matches(word.option, options), ctx=ctx)
    value = word.tokens[1] if len(word.tokens) > 1 else word.tokens[0].partition("=")[2]
    if not value:
        raise click.BadOptionUsage(word.option, f"Option {word.option!r} requires an argument.", ctx=ctx)
    return ["--set", f"{name}={value}"]
