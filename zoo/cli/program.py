"""The program: the group of all commands, and what becomes of errors.

Exit codes: 0 when it went well, 1 when it failed, 2 when it was called wrongly, 130 when it was interrupted.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from io import StringIO

import click

from zoo import __version__
from zoo.cli.group import PluginGroup
from zoo.cli.text import escaped_lines
from zoo.errors import ZooError

__all__ = ["main", "program"]

FAILED = 1
INTERRUPTED = 130


@click.group(
    cls=PluginGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="""\b
Examples:
  zoo list                                   what the installed plugins bring
  zoo info llama                             what one of these is
  zoo run text-generation llama "Once upon"  a task on a model
  zoo chat llama                             talk with a model

\b
Environment:
  ZOO_LOG=debug      show more of what happens; also: info, warning, error
  ZOO_PLUGINS=a,b    load only these plugins
  ZOO_PREFER=x=dist  which distribution a name means that two of them claim
  ZOO_STRICT=1       make a plugin that fails to load an error
  ZOO_PROGRESS=0     show no progress bars
  NO_COLOR=1         no colours""",
)
@click.version_option(__version__, prog_name="zoo", message="%(prog)s %(version)s")
def program() -> None:
    """Any architecture, any task, from checkpoints that can't bite."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command with these arguments, those of the process by default, and return its exit code."""
    _print_anything()
    try:
        status = program.main(arguments, prog_name="zoo", standalone_mode=False)
        sys.stdout.flush()  # here, where a closed pipe can still be told from a bug
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except click.ClickException as error:
        said = StringIO()
        error.show(said)
        click.echo(escaped_lines(said.getvalue()), nl=False, err=True)  # names of files in it may be strangers'
        return error.exit_code
    except BrokenPipeError:
        _discard_output()
        return FAILED
    except (ZooError, OSError, MemoryError) as error:
        _report_failure(error)
        return FAILED
    except Exception as error:
        _report_bug(error)
        return FAILED
    return status if isinstance(status, int) else 0  # an int is what a command has passed to `ctx.exit`


def _print_anything() -> None:
    """Where a stream's encoding lacks a character, print its escape and go on."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def _discard_output() -> None:
    """Nobody reads stdout any more: keep the interpreter's last flush from complaining about it."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):
        sys.stdout = None  # no file beneath it: then there is nothing to flush


def _report_failure(error: Exception) -> None:
    message = str(error) or "out of memory" if isinstance(error, MemoryError) else str(error)
    if os.environ.get("ZOO_LOG", "").strip().lower() == "debug":
        _print_traceback(error)
    click.echo(f"zoo: error: {escaped_lines(message)}", err=True)


def _report_bug(error: Exception) -> None:
    _print_traceback(error)
    click.echo(
        "zoo: error: This is a bug, in zoo or in a plugin of it. Please report it, with the lines above, "
        "with the command that you ran, and with what `zoo env` prints.",
        err=True,
    )


def _print_traceback(error: Exception) -> None:
    import traceback

    click.echo(escaped_lines("".join(traceback.format_exception(error))).rstrip(), err=True)
