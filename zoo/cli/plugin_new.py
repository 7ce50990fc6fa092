"""`zoo plugin new`: a plugin package to begin from, which works as it is."""

from __future__ import annotations

import importlib.util
import shlex
from collections.abc import Mapping
from pathlib import Path

import click

from zoo.cli.output import json_option, print_json
from zoo.errors import PluginError
from zoo.plugins.discovery import Distributions
from zoo.registry import registry
from zoo.registry.names import with_article
from zoo.scaffold import KINDS, LICENCES, Names, package_files, plugin_names, write_package

__all__ = ["new"]


@click.command(
    epilog="""\b
Examples:
  zoo plugin new mynet --architecture            a backbone: zoo-mynet/ with the package zoo_mynet
  zoo plugin new depth --task                    a task with its head and pipeline
  zoo plugin new cosine --head --licence Apache-2.0
  zoo plugin new npy --format --dry-run          what would be written

The package holds a small real example, the test of zoo's conformance kit, a README, a licence and a workflow for
GitHub, and passes its own tests. Change it piece by piece, and run them as you go.""",
)
@click.argument("name")
@click.option("--architecture", is_flag=True, help="A backbone.")
@click.option("--head", is_flag=True, help="A head for a task that there is.")
@click.option("--task", is_flag=True, help="A task, with its head and pipeline.")
@click.option("--format", "format_", is_flag=True, help="A checkpoint file format.")
@click.option(
    "--directory",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="The package's directory, which must not be there. [default: zoo-NAME]",
)
@click.option("--licence", type=click.Choice(LICENCES), default="MIT", show_default=True, help="The package's licence.")
@click.option("--author", metavar="WHO", help="Who holds the copyright. [default: The authors of zoo-NAME]")
@click.option("--dry-run", is_flag=True, help="Write nothing; say what would be.")
@json_option
def new(
    name: str,
    architecture: bool,
    head: bool,
    task: bool,
    format_: bool,
    directory: Path | None,
    licence: str,
    author: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Write a new plugin package that contributes NAME.

    It is the distribution zoo-NAME; NAME may be given with or without "zoo-".
    """
    given = [kind for kind, wanted in zip(KINDS, (architecture, head, task, format_), strict=True) if wanted]
    if len(given) != 1:
        raise click.UsageError(f"Give one of {', '.join(f'--{kind}' for kind in KINDS)}.")
    [kind] = given
    names = plugin_names(name)
    _refuse_taken(names, kind)
    target = directory if directory is not None else Path(names.distribution)
    files = package_files(names, kind, licence=licence, author=author or f"The authors of {names.distribution}")
    if not dry_run:
        write_package(target, files)
    steps = [
        f"cd {shlex.quote(str(target))}",
        "pip install -e '.[test]'",
        "pytest",
        f"zoo plugin check {names.distribution}",
    ]
    if as_json:
        print_json(
            {
                "name": names.bare,
                "distribution": names.distribution,
                "package": names.package,
                "kind": kind,
                "directory": str(target),
                "files": list(files),
                "written": not dry_run,
                "next": steps,
            }
        )
        return
    _tell(target, files, steps, dry_run)


def _refuse_taken(names: Names, kind: str) -> None:
    """Raise PluginError where the new names would stand in the way of what is installed."""
    if Distributions().version(names.distribution) is not None:
        raise PluginError(f"The distribution {names.distribution} is installed already.", hint="Choose another name.")
    if importlib.util.find_spec(names.package) is not None:
        raise PluginError(f"There is a package {names.package} already.", hint="Choose another name.")
    catalog = getattr(registry(), kind if kind.endswith("s") else f"{kind}s")
    if names.bare in catalog.names():
        raise PluginError(
            f"There is {with_article(kind)} {names.bare!r} already.",
            hint="Two of one name have to be told apart by whoever uses them: choose another name.",
        )


def _tell(target: Path, files: Mapping[str, str], steps: list[str], dry_run: bool) -> None:
    click.echo(f"{'Would write' if dry_run else 'Wrote'} {len(files)} files:")
    for name in files:
        click.echo(f"  {target / name}")
    if not dry_run:
        click.echo("\nNow, in the environment that zoo-sdk is installed in:")
        for step in steps:
            click.echo(f"  {step}")
