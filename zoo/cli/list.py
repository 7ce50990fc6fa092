"""`zoo list`: what the installed plugins contribute."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import click

from zoo.cli.kinds import kind_of_thing
from zoo.cli.output import Section, json_option, print_json, print_sections
from zoo.cli.wording import origin, requirement, size
from zoo.describe import Description, describe_entry
from zoo.plugins import SPEC_TYPES
from zoo.registry import Catalog, registry

__all__ = ["command"]


@click.command(
    epilog="""\b
Examples:
  zoo list                        everything
  zoo list architectures          one kind of things
  zoo list presets | cut -f1      in a pipe: one line each, tab-separated, the name first
  zoo list --json                 {"architectures": [{"name": ..., "full_name": ...}, ...], ...}

In a pipe `zoo list` without a kind puts the kind before the name. A name that two plugins claim is shown with its
distribution, as `zoo-swin:swin`; any command takes it in that form.""",
)
@click.argument("kind", required=False, type=kind_of_thing, metavar="[KIND]")
@json_option
def command(kind: str | None, as_json: bool) -> None:
    """List what the installed plugins contribute.

    KIND is one of architectures, heads, necks, tasks, preprocessors, layouts, presets, formats, attention, commands.
    """
    kinds = list(SPEC_TYPES) if kind is None else [kind]
    descriptions = {each: _described(each) for each in kinds}
    if as_json:
        print_json(descriptions)
    elif kind is not None:
        if not descriptions[kind]:
            click.echo(f"No installed plugin contributes any {kind}.", err=True)
            return
        columns, rows = _table(kind, descriptions[kind])
        print_sections([Section("", "", columns, rows)])
    else:
        print_sections(
            Section(each, each.capitalize(), ("name", "from", "what it is"), [_overview(item) for item in items])
            for each, items in descriptions.items()
            if items
        )


def _described(kind: str) -> list[Description]:
    catalog: Catalog[Any] = getattr(registry(), kind)
    return [describe_entry(catalog, entry) for entry in catalog]


def _overview(item: Description) -> tuple[str, str, str]:
    return str(item["name"]), origin(item), str(item["summary"])


def _table(kind: str, items: Sequence[Description]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """The columns and rows of one kind: the name, what only this kind has, the plugin, the summary."""
    own = _COLUMNS.get(kind, ())
    columns = ("name", *(column for column, _ in own), "from", "what it is")
    rows = [
        (str(item["name"]), *(_cell(key, item[key]) for _, key in own), origin(item), str(item["summary"]))
        for item in items
    ]
    return columns, rows


_COLUMNS = {
    "architectures": (("of", "modality"), ("task", "default_task"), ("preset", "default_preset")),
    "heads": (("task", "task"), ("needs", "requires")),
    "necks": (("needs", "requires"),),
    "tasks": (("also called", "aliases"),),
    "preprocessors": (("of", "modality"),),
    "layouts": (("architecture", "architecture"), ("head", "head"), ("class", "class_name")),
    "presets": (("architecture", "architecture"), ("task", "task"), ("size", "size_bytes"), ("licence", "licence")),
    "formats": (("files", "suffixes"),),
    "attention": (("priority", "priority"),),
}
"""For each kind, the titles of its own columns and the keys of its descriptions that they show."""


def _cell(key: str, value: object) -> str:
    if value is None:
        return "-"
    if key == "size_bytes":
        return size(cast("int", value))
    if key == "requires":
        return requirement(cast("Description | Sequence[Description]", value))
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "-"
    return str(value)
