"""What a command is to work on: arguments, the lines of a file, or those of standard input."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TextIO, TypeVar

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
        return _lines(_opened(file), file)
    if not arguments and file is None and is_terminal(sys.stdin):
        raise click.UsageError("No input. Give it as an argument, with --file, or on standard input.")
    return _lines(sys.stdin, "standard input")


def _opened(file: str) -> TextIO:
    """The file, open until the command ends: at once, so that one that is not there is told of before a model loads."""
    try:
        stream = Path(file).open(encoding="utf-8-sig")  # noqa: SIM115
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise InvalidInput(f"{file}: {reason}.", hint="--file names a text file with one input per line.") from error
    except ValueError as error:  # a zero byte in the name
        raise InvalidInput(f"{file!r} is no name of a file: {error}.") from error
    return click.get_current_context().with_resource(stream)


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
