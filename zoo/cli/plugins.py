"""`zoo plugins`: which plugins there are, what each brings, and what went wrong."""

from __future__ import annotations

import click

from zoo.cli.output import Section, json_option, print_json, print_sections
from zoo.cli.text import escaped_lines
from zoo.cli.wording import plural
from zoo.describe import Description, describe_plugin
from zoo.plugins import PluginInfo, plugins
from zoo.registry.names import NOUNS

__all__ = ["command"]


@click.command(
    epilog="""\b
Examples:
  zoo plugins                     one line for each
  zoo plugins --verbose           with everything that each brings, and tracebacks
  zoo plugins --json              {"plugins": [{"name": ..., "status": ..., ...}], "failed": 0}
  ZOO_STRICT=1 zoo plugins        fail if one of them does

A plugin's status is "loaded", "failed", "disabled" (see `zoo plugin`) or "left out" (by ZOO_PLUGINS). Plugins that
failed are told, and are no failure of this command: its exit code is 0, and "failed" in the JSON counts them.""",
)
@click.option("-v", "--verbose", is_flag=True, help="Show all that each contributes, where it is, and tracebacks.")
@json_option
def command(verbose: bool, as_json: bool) -> None:
    """List the plugins, what each contributes, and what went wrong with any."""
    infos = plugins()
    if as_json:
        failed = sum(info.failure is not None for info in infos)
        print_json({"plugins": [describe_plugin(info) for info in infos], "failed": failed})
        return
    columns = ("plugin", "version", "api", "status", "load time", "contributes")
    sections = [Section("", "", columns, [_row(info) for info in infos])]
    if verbose:
        sections += [Section(info.name, info.name, None, _details(info)) for info in infos]
    print_sections(sections)
    for info in infos:
        if info.failure is not None:
            text = info.traceback if verbose and info.traceback else info.failure
            click.echo(f"\n{info.name} {info.version} failed:\n{escaped_lines(text)}", err=True)


def _row(info: PluginInfo) -> tuple[str, ...]:
    description = describe_plugin(info)
    return (
        info.name,
        info.version,
        str(info.manifest.api_version) if info.manifest is not None else "-",
        str(description["status"]),
        f"{info.load_seconds * 1000:.1f} ms",
        ", ".join(plural(len(names), NOUNS[kind]) for kind, names in info.contributes.items()) or info.left_out or "-",
    )


def _details(info: PluginInfo) -> list[tuple[str, str]]:
    description: Description = describe_plugin(info)
    keys = ("summary", "licence", "docs_url", "target", "source")
    rows = [(key.removesuffix("_url"), str(description[key])) for key in keys if description[key]]
    return rows + [(kind, ", ".join(names)) for kind, names in info.contributes.items()]
