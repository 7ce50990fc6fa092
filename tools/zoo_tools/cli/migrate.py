"""`zoo migrate`: any checkpoint to safetensors."""

from __future__ import annotations

from typing import Any

import click

from zoo.cli.output import json_option, print_json
from zoo.cli.text import escaped, escaped_lines
from zoo.cli.wording import plural
from zoo_tools.cli.conversion import chosen, print_report, resumable, tensor_options, writing_options
from zoo_tools.migrate_report import TreeReport
from zoo_tools.migration import migrate
from zoo_tools.tree_migration import migrate_tree

__all__ = ["command"]

FAILED = 1


@click.command(
    epilog="""\b
Examples:
  zoo migrate pytorch_model.bin out               out/model.safetensors, and what was done in words
  zoo migrate model.pth model.safetensors         one file
  zoo migrate path/to/model out --max-shard-size 5GB
  zoo migrate last.ckpt out --select state_dict --rename 'model\\.(.*)=\\1'
  zoo migrate big.bin out --dtype bf16 --manifest
  zoo migrate old-checkpoints new --recursive     each one it finds, in the same folders below new
  zoo migrate pytorch_model.bin out --dry-run     what it would do

SRC is a file or a directory in any format that `zoo list formats` shows. Nothing in it is run. Of a directory the other
files (config.json, tokenizer.json, ...) are copied, pickles are left out. DST is a directory, or a file whose name ends
in .safetensors.

Every element is read again and compared before files get their final names. Nothing incomplete is ever left under
such a name: Ctrl-C, a crash or a full disk leaves what was there before, and --resume goes on.""",
)
@click.argument("source", metavar="SRC")
@click.argument("target", metavar="DST")
@click.option("--max-shard-size", default="10GB", show_default=True, metavar="SIZE", help="The most bytes per file.")
@tensor_options
@click.option("--recursive", is_flag=True, help="Migrate every checkpoint below the directory SRC.")
@writing_options
@json_option
@click.pass_context
def command(ctx: click.Context, /, source: str, target: str, recursive: bool, as_json: bool, **settings: Any) -> None:
    """Convert the checkpoint SRC to safetensors in DST."""
    options = chosen(settings)
    with resumable(ctx, "Migrating") as progress:
        report = (migrate_tree if recursive else migrate)(source, target, progress=progress, **options)
    if as_json:
        print_json(report.to_json())
    elif isinstance(report, TreeReport):
        _print_tree(report)
    else:
        print_report(report)
    if isinstance(report, TreeReport) and report.failed:
        ctx.exit(FAILED)


def _print_tree(report: TreeReport) -> None:
    """What became of each, in a few lines."""
    for item in report.items:
        if item.report is not None:
            first, *rest = map(escaped, item.report.sentences)
        else:
            first, *rest = escaped(f"{item.source}: not migrated."), *escaped_lines(item.error or "").splitlines()
        click.echo("\n".join([first, *(f"  {line}" for line in rest)]))
    done = len(report.items) - len(report.failed)
    click.echo(f"{plural(done, 'checkpoint')} migrated, {len(report.failed)} failed.")
