"""`zoo env`: versions, devices and plugins, for a bug report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import click

from zoo.cli.output import json_option, print_json
from zoo.cli.text import escaped
from zoo.cli.wording import scaled_size
from zoo.describe import Description, Json, describe_environment

__all__ = ["command"]


@click.command(
    epilog="""\b
Examples:
  zoo env                         text to paste into a bug report
  zoo env --no-torch              at once, without asking torch for its devices
  zoo env --json                  {"zoo": ..., "python": ..., "packages": {...}, "torch": {...}, ...}

Of environment variables it shows only ZOO_* and a few of torch's and the Hub's, never a token.""",
)
@click.option("--torch/--no-torch", "with_torch", default=True, help="Import torch for its devices. The default is to.")
@json_option
def command(with_torch: bool, as_json: bool) -> None:
    """Show versions, devices and plugins, for a bug report."""
    description = describe_environment(with_torch=with_torch)
    if as_json:
        print_json(description)
        return
    lines = [*_system(description), "", *_torch(description), "", *_plugins(description)]
    variables = cast("Mapping[str, str]", description["variables"])
    lines += ["", *_aligned(variables)] if variables else []
    click.echo("\n".join(lines))


def _system(description: Description) -> list[str]:
    memory = description["memory_bytes"]
    of_memory = f", {scaled_size(memory)} of memory" if isinstance(memory, int) else ""
    packages = cast("Mapping[str, str | None]", description["packages"])
    return _aligned(
        {
            "zoo": description["zoo"],
            "python": f"{description['python']}{', virtual environment' if description['virtual_environment'] else ''}",
            "platform": description["platform"],
            "machine": f"{description['machine']}, {description['cpus']} CPUs{of_memory}",
            **{name: version or "not installed" for name, version in packages.items()},
        }
    )


def _torch(description: Description) -> list[str]:
    torch = cast("Description | None", description["torch"])
    if torch is None:
        return ["torch was not asked for its devices"]
    if torch["error"] is not None:
        return [f"torch can't be imported: {escaped(str(torch['error']))}"]
    devices = cast("Sequence[Description]", torch["devices"])
    facts: dict[str, Json] = {"cuda": torch["cuda"] or torch["hip"] or "no", "threads": torch["threads"]}
    facts["cpu"] = torch["cpu_capability"]
    for device in devices:
        memory = device["memory_bytes"]
        of_memory = f", {scaled_size(memory)}" if isinstance(memory, int) else ""
        facts[str(device["device"])] = f"{device['name']}{of_memory}"
    return ["torch:", *(f"  {line}" for line in _aligned(facts))]


def _plugins(description: Description) -> list[str]:
    if description["plugins_error"] is not None:
        return ["plugins: " + escaped(str(description["plugins_error"]))]
    lines = ["plugins:"]
    for plugin in cast("Sequence[Description]", description["plugins"]):
        lines.append(f"  {escaped(str(plugin['name']))} {escaped(str(plugin['version']))}, {plugin['status']}")
        if plugin["failure"] is not None:
            lines.append(f"    {escaped(str(plugin['failure']))}")
    return lines


def _aligned(facts: Mapping[str, Json]) -> list[str]:
    width = max(map(len, facts)) + 2
    return [f"{label:{width}}{escaped(str(value))}" for label, value in facts.items()]
