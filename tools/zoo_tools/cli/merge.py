"""`zoo merge`: the shards of a checkpoint in one file."""

from __future__ import annotations

from typing import Any

import click

from zoo.cli.output import json_option, print_json
from zoo_tools.cli.conversion import chosen, print_report, resumable, writing_options
from zoo_tools.resharding import merge

__all__ = ["command"]


@click.command(
    epilog="""\b
Examples:
  zoo merge path/to/model out                     out/model.safetensors, and the other files beside it
  zoo merge path/to/model whole.safetensors       that file alone
  zoo merge path/to/model.safetensors.index.json out

Nothing is loaded: bytes are copied from file to file, and compared afterwards.""",
)
@click.argument("source", metavar="SRC")
@click.argument("target", metavar="DST")
@writing_options
@json_option
@click.pass_context
def command(ctx: click.Context, /, source: str, target: str, as_json: bool, **settings: Any) -> None:
    """Write all shards of the checkpoint SRC into one file, in the directory DST or of that name."""
    with resumable(ctx, "Merging") as progress:
        report = merge(source, target, progress=progress, **chosen(settings))
    if as_json:
        print_json(report.to_json())
    else:
        print_report(report)
