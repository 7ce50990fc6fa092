"""`zoo shard`: a checkpoint in files of at most a size."""

from __future__ import annotations

from typing import Any

import click

from zoo.cli.output import json_option, print_json
from zoo_tools.cli.conversion import chosen, print_report, resumable, writing_options
from zoo_tools.resharding import shard

__all__ = ["command"]


@click.command(
    epilog="""\b
Examples:
  zoo shard model.safetensors out                     files of at most 5 GB, and their index
  zoo shard path/to/model out --max-shard-size 500MB
  zoo shard path/to/model out --dry-run --json        which files there would be

SIZE is a number with kB, MB, GB, TB (powers of 1000) or KiB, MiB, GiB, TiB (powers of 1024). A tensor that is larger
has a file of its own. Nothing is loaded: bytes are copied from file to file, and compared afterwards.""",
)
@click.argument("source", metavar="SRC")
@click.argument("target", metavar="DST")
@click.option("--max-shard-size", default="5GB", show_default=True, metavar="SIZE", help="The most bytes per file.")
@writing_options
@json_option
@click.pass_context
def command(ctx: click.Context, /, source: str, target: str, as_json: bool, **settings: Any) -> None:
    """Write the checkpoint SRC into the directory DST, in shards of at most a size."""
    with resumable(ctx, "Sharding") as progress:
        report = shard(source, target, progress=progress, **chosen(settings))
    if as_json:
        print_json(report.to_json())
    else:
        print_report(report)
