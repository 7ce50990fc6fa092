"""Printing a JSON object that ends in a long list, without holding the text of all of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, islice

import click

from zoo.cli.output import json_text
from zoo.describe import Description

__all__ = ["print_long_json"]

_AT_A_TIME = 1000


def print_long_json(value: Description, key: str, items: Iterable[Description]) -> None:
    """Print to stdout what `print_json(value | {key: list(items)})` prints. value: without that key, and not empty."""
    click.echo(json_text(value, indent=2).removesuffix("\n}") + f",\n  {json_text(key)}: [", nl=False)
    separator = "\n"
    for part in _parts(items):
        text = json_text({"": part}, indent=2)
        # Of {"": [...]} what stands between the brackets, which is indented as it will be.
        click.echo(separator + text[text.index("[\n") + 2 : text.rindex("\n  ]")], nl=False)
        separator = ",\n"
    click.echo("]\n}" if separator == "\n" else "\n  ]\n}")


def _parts(items: Iterable[Description]) -> Iterator[list[Description]]:
    rest = iter(items)
    for first in rest:
        yield [*chain((first,), islice(rest, _AT_A_TIME - 1))]
