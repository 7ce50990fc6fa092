"""What a command is to work on: arguments, the lines of a file, or those of standard input."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import click

from zoo.cli.output import is_terminal
from zoo.errors import InvalidInput

__all__ = ["batched", "read_inputs"]

T = TypeVar("T")


def read_inputs(arguments: Sequence[str], file: str | None) -> Iterator[str]:
    """The inputs, read as they are needed. Without any arguments or file, the lines of standard input, as for "-"."""
    if arguments and file is not None:
        raise click.UsageError("Give inputs as arguments or with --file, not both.")
    if file is None and arguments and arguments != ("-",):
        return iter(arguments)
    if file is not None and file != "-":
        # Opened now, so that a file that is not there is told of before a model is loaded.
        stream = click.get_current_context().with_resource(Path(file).open(encoding="utf-8-sig"))  # noqa: SIM115
        return _lines(stream, file)
    if not arguments and file is None and is_terminal(sys.stdin):
        raise click.UsageError("No input. Give it as an argument, with --file, or on standard input.")
    return _lines(sys.stdin, "standard input")


def batched(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of `size` items, of which the last may be shorter."""
    remaining = iter(items)
    while batch := list(itertools.islice(remaining, size)):
        yield batch


def _lines(stream: Iterable[str], name: str) -> Iterator[str]:
    """The lines without their ends. An empty one, save at the end, is an error: results must be as many as lines."""
    empty = None
    number = 0
    try:
        for number, line in enumerate(stream, 1):
            text = line.rstrip("\r\n")
            if not text.strip():
                empty = empty or number
            elif empty is not None:
                raise InvalidInput(
                    f"{name}: line {empty} is empty.", hint="Each line is one input; take empty ones out."
                )
            else:
                yield text
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{name}: what follows line {number} is not UTF-8: {error.reason}.") from error
