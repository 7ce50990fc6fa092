"""Long lists on a terminal: figures first and names last, so that a name of any length stays in one piece."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from zoo.cli.output import has_colours
from zoo.cli.text import escaped

__all__ = ["print_columns"]


def print_columns(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], *, left: Sequence[int]) -> None:
    """Print rows under a title and the names of the columns. left: columns that are aligned to the left.

    The last column is not padded. A table of rich wraps what is too long, and takes minutes for 100,000 rows.
    """
    shown = [[escaped(cell) for cell in row] for row in rows]
    widths = [max(map(len, cells)) for cells in zip(columns, *shown, strict=True)]
    styled = has_colours(sys.stdout)
    click.echo(f"\n{click.style(title, bold=True) if styled else title}")
    head = _line(columns, widths, left)
    click.echo(click.style(head, dim=True) if styled else head)
    if shown:
        click.echo("\n".join(_line(row, widths, left) for row in shown))


def _line(cells: Sequence[str], widths: Sequence[int], left: Sequence[int]) -> str:
    *padded, last = (
        cell.ljust(width) if place in left else cell.rjust(width)
        for place, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
    return "  ".join((*padded, last.rstrip()))
