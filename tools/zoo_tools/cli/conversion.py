"""What the commands that write checkpoints share: their options, the progress bar, and what Ctrl-C says."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from zoo.cli.progress import progress_bar
from zoo.cli.text import escaped

if TYPE_CHECKING:
    from zoo_tools.migrate_report import MigrateReport

__all__ = ["chosen", "print_report", "resumable", "tensor_options", "writing_options"]

Command = TypeVar("Command", bound=Callable[..., Any])

_TENSOR_OPTIONS = (
    click.option(
        "--select", metavar="PREFIX", help="The part of a training checkpoint to take, e.g. state_dict; . for all."
    ),
    click.option("--dtype", metavar="DTYPE", help="Round floating tensors to bf16, f16, f32 or f64. Needs numpy."),
    click.option(
        "--rename",
        multiple=True,
        metavar="REGEX=NAME",
        help=r"Rename tensors whose whole name matches, e.g. 'module\.(.*)=\1'. Repeatable.",
    ),
    click.option("--drop", multiple=True, metavar="REGEX", help="Leave out tensors whose whole name matches."),
    click.option("--keep", multiple=True, metavar="REGEX", help="Take only tensors whose whole name matches."),
    click.option("--skip-unsupported", is_flag=True, help="Leave out tensors that zoo can't read, and say which."),
)
_WRITING_OPTIONS = (
    click.option("--resume", is_flag=True, help="Go on with a run that was interrupted."),
    click.option("--force", is_flag=True, help="Replace a checkpoint that DST holds."),
    click.option("--dry-run", is_flag=True, help="Say what would be written, and write nothing."),
    click.option("--no-verify", is_flag=True, help="Don't read the result again to compare it with the source."),
    click.option("--no-sync", is_flag=True, help="Don't wait until all is on the disk: faster, lost in a power cut."),
    click.option("--manifest", is_flag=True, help="Write sha256 sums of the files, and of the contents."),
    click.option("--jobs", type=click.IntRange(min=1), metavar="N", help="Threads that write. [default: up to 4]"),
)


def tensor_options(command: Command) -> Command:
    """The options that choose and change tensors."""
    return _with(command, _TENSOR_OPTIONS)


def writing_options(command: Command) -> Command:
    """The options of everything that writes a checkpoint."""
    return _with(command, _WRITING_OPTIONS)


@contextmanager
def resumable(ctx: click.Context, description: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar in bytes. When the user interrupts what is done under it, say how to go on with it."""
    try:
        with progress_bar(description, in_bytes=True) as progress:
            yield progress
    except KeyboardInterrupt as interrupt:
        click.echo("\nInterrupted. Nothing incomplete has a final name. To go on from here:", err=True)
        click.echo(f"  {escaped(_resuming(ctx))}", err=True)
        raise click.Abort from interrupt


def _with(command: Command, options: tuple[Callable[[Command], Command], ...]) -> Command:
    for option in reversed(options):
        command = option(command)
    return command


def _resuming(ctx: click.Context) -> str:
    """The command that was given, with --resume, as one would type it."""
    words = [*ctx.command_path.split(" ")]
    for parameter in ctx.command.params:
        value = ctx.params.get(parameter.name or "")
        if ctx.get_parameter_source(parameter.name or "") is not ParameterSource.COMMANDLINE:
            continue
        if isinstance(parameter, click.Argument):
            words += [str(value)] if not isinstance(value, tuple) else map(str, value)
        elif parameter.name not in ("resume", "force"):
            words += _option(parameter, value)
    return shlex.join([*words, "--resume"])


def _option(parameter: click.Parameter, value: Any) -> list[str]:
    name = parameter.opts[-1]
    if isinstance(value, bool):
        return [name if value else (*parameter.secondary_opts, name)[0]]
    values = value if isinstance(value, tuple) else (value,)
    return [word for each in values for word in (name, str(each))]


def chosen(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The options as the functions take them: what is switched off by --no-x is x=False there."""
    options = dict(settings)
    for name in ("verify", "sync"):
        options[name] = not options.pop(f"no_{name}")
    return options


def print_report(report: MigrateReport) -> None:
    """What was done, a sentence on each line."""
    for sentence in report.sentences:
        click.echo(escaped(sentence))
