"""How commands show what they found: tables on a terminal, tab-separated lines in a pipe, or one JSON value."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple, TextIO

import click

from zoo.cli.text import escaped
from zoo.describe import Json

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

__all__ = ["Section", "has_colours", "is_terminal", "json_option", "json_text", "print_json", "print_sections"]

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
"""The option that all commands share whose output a program may read."""

READABLE = 20
"""How narrow a column of longer texts may become, in characters; rich narrows the widest first."""

_HARMFUL_IN_JSON = "[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"


class Section(NamedTuple):
    """A table, or with columns=None pairs of a label and a value.

    key: what its lines begin with in a pipe; "" for nothing.
    """

    key: str
    title: str
    columns: Sequence[str] | None
    rows: Sequence[Sequence[str]]


def is_terminal(stream: TextIO) -> bool:
    """Whether a person reads this stream."""
    return stream.isatty()


def has_colours(stream: TextIO) -> bool:
    """Whether to style what is written to this stream: on a terminal, unless NO_COLOR is set (https://no-color.org)."""
    return is_terminal(stream) and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def print_sections(sections: Iterable[Section]) -> None:
    """Print to stdout: with titles and aligned columns for a person, one line per row for a program."""
    if is_terminal(sys.stdout):
        _print_tables(sections)
        return
    lines = [
        "\t".join(escaped(cell) for cell in (section.key, *row)[not section.key :])
        for section in sections
        for row in section.rows
    ]
    if lines:
        click.echo("\n".join(lines))


def print_json(value: Json) -> None:
    """Print to stdout, indented."""
    click.echo(json_text(value, indent=2))


def json_text(value: Json, indent: int | None = None) -> str:
    """JSON that is readable in any language, and harmless when it ends up on a terminal."""
    import json

    text = json.dumps(value, ensure_ascii=False, indent=indent)
    return re.sub(_HARMFUL_IN_JSON, lambda match: json.dumps(match[0])[1:-1], text)


def _print_tables(sections: Iterable[Section]) -> None:
    from rich.padding import Padding
    from rich.text import Text

    console = _console()
    for number, section in enumerate(sections):
        if number:
            console.print()
        if section.title:
            console.print(Text(escaped(section.title), style="bold"))
        if section.columns is None:
            console.print(_pairs(section.rows))
        elif _fits(section.columns, section.rows, console.width):
            console.print(_table(section.columns, section.rows))
        else:
            for name, *rest in section.rows:
                console.print(Text(escaped(name)))
                pairs = _pairs(list(zip(section.columns[1:], rest, strict=True)))
                console.print(Padding(pairs, (0, 0, 0, 2)))


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """One row per line, or more where a text is long. Names stay in one piece: they are what people copy."""
    table = _bare_table()
    table.show_header = True
    for index, column in enumerate(columns):
        table.add_column(_cell(column), overflow="fold", no_wrap=index == 0)
    for row in rows:
        table.add_row(*map(_cell, row))
    return table


def _pairs(rows: Sequence[Sequence[str]]) -> Table:
    """Labels and values, one pair per line."""
    table = _bare_table()
    table.add_column(style="dim", overflow="fold")
    table.add_column(overflow="fold")
    for row in rows:
        table.add_row(*map(_cell, row))
    return table


def _fits(columns: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> bool:
    """Whether the names, and of every other column enough to be read, can stand side by side."""
    from rich.cells import cell_len

    widths = [max(cell_len(escaped(cell)) for cell in column) for column in zip(columns, *rows, strict=True)]
    return widths[0] + sum(2 + min(each, READABLE) for each in widths[1:]) <= width


def _bare_table() -> Table:
    from rich.table import Table

    return Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim", show_header=False)


def _cell(text: str) -> Text:
    from rich.text import Text

    return Text(escaped(text))


def _console() -> Console:
    from rich.console import Console

    # Cells are data: nothing in them is markup, an emoji's name or worth highlighting.
    return Console(highlight=False, markup=False, emoji=False)
