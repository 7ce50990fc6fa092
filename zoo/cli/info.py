"""`zoo info`: what a name or a reference means."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import cast

import click

from zoo.cli.kinds import kind_of_thing
from zoo.cli.output import Section, is_terminal, json_option, print_json, print_sections
from zoo.cli.wording import count, origin, requirement, size
from zoo.describe import Description, Json, describe

__all__ = ["command"]


@click.command(
    epilog="""\b
Examples:
  zoo info llama                                  an architecture: its tasks, presets, configuration
  zoo info text-generation                        a task
  zoo info smollm2-135m-instruct                  a preset, and where its weights can be had
  zoo info path/to/directory                      a checkpoint: format, parameters, dtypes, memory
  zoo info pkg://DISTRIBUTION/path/of/a.gguf      one inside an installed package
  zoo info --kind head causal-lm                  where several kinds have the name
  zoo info llama --json                           {"kind": "architecture", "name": ..., "tasks": [...], ...}

A name comes before a directory of the same name; write ./NAME for the directory. Only headers and small files are
read. In a pipe each line is a key and its values, tab-separated; a table's lines begin with its key.""",
)
@click.argument("name")
@click.option("--kind", type=kind_of_thing, metavar="KIND", help="Look only among the tasks, or heads, ... .")
@json_option
def command(name: str, kind: str | None, as_json: bool) -> None:
    """Say what NAME is.

    An architecture, task, head, preset or other name of a plugin; or a directory, a file or another reference.
    """
    description = describe(name, kind)
    if as_json:
        print_json(description)
    else:
        print_sections(_sections(description))


_TABLES: Mapping[str, Sequence[str]] = {
    "config": ("name", "type", "default"),
    "dtypes": ("dtype", "tensors", "elements", "bytes"),
    "features": ("name", "kind", "modality", "channels", "stride", "causal"),
    "files": ("name", "size_bytes"),
    "heads": ("name", "requires", "summary"),
    "layouts": ("name", "head", "class_name", "writable"),
    "presets": ("name", "task", "size_bytes", "licence", "summary"),
    "sources": ("reference", "path", "reason"),
    "tasks": ("name", "composes", "heads", "trained", "reason"),
}
"""The keys of a description that hold a list of objects, and what of these objects is shown."""


def _sections(description: Description) -> Iterator[Section]:
    """First everything that is one value, then the tables and the objects, in the order of the description."""
    parts = {key: value for key, value in description.items() if _is_section(key, value)}
    facts = {key: value for key, value in description.items() if key not in parts and not _is_empty(value)}
    if is_terminal(sys.stdout):
        facts = _untitled(description, facts)
    yield Section("", _title(description), None, [(_label(key), _shown(key, value)) for key, value in facts.items()])
    for key, value in parts.items():
        if isinstance(value, Mapping):
            # The keys of a config.json are names that people search for: they stay as they are.
            rows = [
                (each if key == "config" else _label(each), _shown(each, inner))
                for each, inner in value.items()
                if not _is_empty(inner)
            ]
            yield Section(key, _label(key).capitalize(), None, rows)
        else:
            yield _table(key, cast("Sequence[Description]", value))


def _untitled(description: Description, facts: Description) -> Description:
    """What a person still wants to read below the title."""
    told = {"kind", "name", "plugin", "version", "reference"}
    if not description.get("fallback"):
        told.add("fallback")
    if description.get("location") == description.get("reference"):
        told.add("location")
    return {key: value for key, value in facts.items() if key not in told}


def _table(key: str, items: Sequence[Description]) -> Section:
    # In a pipe columns keep their places; a person is spared those in which nothing stands.
    columns = [
        column
        for column in _TABLES[key]
        if not is_terminal(sys.stdout) or not all(_is_empty(item.get(column)) for item in items)
    ]
    rows = [[_shown(column, item.get(column)) for column in columns] for item in items]
    return Section(key, _label(key).capitalize(), [_label(column) for column in columns], rows)


def _title(description: Description) -> str:
    if "name" not in description:
        return f"{description['reference']}: {description['kind']}"
    return f"{description['name']}: {description['kind']} of {origin(description)}"


def _label(key: str) -> str:
    if not is_terminal(sys.stdout):
        return key
    return key.removesuffix("_bytes").replace("_", " ")


def _is_section(key: str, value: Json) -> bool:
    of_objects = isinstance(value, list) and bool(value) and isinstance(value[0], dict)
    return (key in _TABLES and of_objects) or (isinstance(value, dict) and key != "requires" and bool(value))


def _is_empty(value: Json) -> bool:
    return value is None or value == "" or value in ([], {})


def _shown(key: str, value: Json) -> str:
    """A value in words, by what its key says that it is."""
    if _is_empty(value):
        return "-"
    if key == "requires":
        return requirement(cast("Description | Sequence[Description]", value))
    if key == "trained" and isinstance(value, list):
        return str(len(value))  # their names stand in the table of presets
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) and (key == "bytes" or key.endswith("_bytes")):
        return size(value)
    if isinstance(value, int) and key in ("parameters", "elements", "context_length"):
        return count(value)
    if isinstance(value, list) and all(isinstance(each, str | int | float) for each in value):
        return ", ".join(map(str, value))
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else str(value)
