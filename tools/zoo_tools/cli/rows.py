"""Sections of any length."""

from __future__ import annotations

import sys

import click

from zoo.cli.output import Section, is_terminal, print_sections
from zoo.cli.text import escaped

__all__ = ["print_rows"]

MANY = 3000
"""More lines than these are printed without a table around them: laying it out would take minutes."""


def print_rows(section: Section) -> None:
    """Print a section that follows others."""
    if not is_terminal(sys.stdout):
        print_sections([section])
        return
    click.echo()
    if len(section.rows) <= MANY:
        print_sections([section])
    else:
        click.echo("\n".join("  ".join(map(escaped, row)) for row in section.rows))
