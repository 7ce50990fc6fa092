"""`zoo inspect`: what is in a checkpoint."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import click

from zoo.cli.output import Section, is_terminal, json_option, json_text, print_json, print_sections
from zoo.cli.wording import count, plural, scaled_size, size
from zoo_tools.cli.columns import print_columns
from zoo_tools.cli.long_json import print_long_json
from zoo_tools.cli.writing import write_page
from zoo_tools.inspection import InspectReport, TensorReport, inspect

if TYPE_CHECKING:
    from zoo_tools.tree import Branch

__all__ = ["command"]

FEW = 60
"""So many tensors a person can read one by one; more are folded."""

_VERDICTS = {"tensor": "how torch stores tensors", "data": "data", "code": "code"}


@click.command(
    epilog="""\b
Examples:
  zoo inspect pytorch_model.bin               what it holds; nothing in it is run
  zoo inspect path/to/directory --tree        folded by prefix, with totals
  zoo inspect model.gguf --depth 2            the two upper levels of that
  zoo inspect model.pt --filter 'bias$'       only the tensors with such names
  zoo inspect model.pt --html report.html     a page with a map of where the bytes are
  zoo inspect model.pt --json                 {"format": ..., "parameters": ..., "tensors": [...], ...}

PATH is a file, a directory, or an index (*.index.json), of any format that `zoo list formats` shows. Only headers are
read. In a pipe each line is a key and its values, tab-separated; on a terminal many tensors are folded unless
--tensors asks for each.""",
)
@click.argument("path")
@click.option("--tree/--tensors", "as_tree", default=None, help="Fold by the dots in names, or list each tensor.")
@click.option("--depth", type=click.IntRange(min=1), metavar="N", help="With --tree, which it implies: N levels.")
@click.option("--filter", "pattern", metavar="REGEX", help="Only the tensors in whose name this is found.")
@click.option("--html", "page", type=click.Path(dir_okay=False), metavar="FILE", help="Write a page to look at.")
@json_option
def command(
    path: str, as_tree: bool | None, depth: int | None, pattern: str | None, page: str | None, as_json: bool
) -> None:
    """Say what is in the checkpoint PATH, and whether loading it with torch would run code."""
    if depth is not None and as_tree is False:
        raise click.UsageError("--depth is for the tree; it and --tensors exclude each other.")
    report = inspect(path)
    tensors = report.tensors if pattern is None else report.matching(pattern)
    if page is not None:
        from zoo_tools.html_page import html_report

        write_page(page, html_report(report), but=[file.path for file in report.files])
    if as_tree is None:
        as_tree = depth is not None or (is_terminal(sys.stdout) and not as_json and len(tensors) > FEW)
    if as_json:
        _print_json(report, tensors, as_tree, depth)
        return
    print_sections(map(_shortened, _summary(report, page)))
    if pattern is not None:
        print_sections([Section("matching", "", None, _matching(tensors))])
    if as_tree:
        _print_tree(tensors, depth)
    else:
        _print_list(tensors)


def _print_json(report: InspectReport, tensors: Sequence[TensorReport], as_tree: bool, depth: int | None) -> None:
    if as_tree:
        from zoo_tools.tree import fold

        print_json(report.to_json(()) | {"tree": fold(tensors).to_json(depth)})
    else:
        print_long_json(report.facts_to_json(), "tensors", (tensor.to_json() for tensor in tensors))


def _summary(report: InspectReport, page: str | None) -> Iterator[Section]:
    facts = [
        ("format", report.format),
        ("tensors", str(len(report.tensors)) if not is_terminal(sys.stdout) else f"{len(report.tensors):,}"),
        ("parameters", count(report.parameters)),
        ("tensor_bytes", size(report.tensor_bytes)),
        ("file_bytes", size(report.file_bytes)),
        *_selection(report),
        *_code_fact(report),
    ]
    if page is not None:
        facts.append(("page", page))
    yield Section("", f"{report.location}: checkpoint", None, [(_label(key), value) for key, value in facts])
    if report.warnings:
        yield Section("warning", "Warnings", None, [("-", warning) for warning in report.warnings])
    if report.code is not None:
        uses = sorted(report.code.globals, key=lambda use: (use.verdict != "code", use.dotted))
        rows = [(use.dotted, _VERDICTS[use.verdict], use.use) for use in uses]
        if rows:
            yield Section("global", "Globals that the pickle names", ("global", "is", "use"), rows)
    if report.unsupported:
        yield Section("unsupported", "Not readable", ("name", "reason"), list(report.unsupported.items()))
    yield Section(
        "dtype",
        "Types",
        ("dtype", "tensors", "elements", "bytes"),
        [(total.name, str(total.tensors), count(total.elements), size(total.nbytes)) for total in report.dtypes],
    )
    yield Section(
        "file",
        "Files",
        ("name", "tensors", "tensor bytes", "size"),
        [(file.path.name, str(file.tensors), size(file.tensor_bytes), size(file.nbytes)) for file in report.files],
    )
    if report.tied:
        yield Section("tied", "Tied tensors", None, [(group[0], ", ".join(group[1:])) for group in report.tied])
    if report.overlapping:
        groups = [(group[0], ", ".join(group[1:])) for group in report.overlapping]
        yield Section("overlapping", "Tensors that share bytes", None, groups)
    if report.metadata:
        yield Section("metadata", "Metadata", None, list(_metadata(report.metadata)))


def _shortened(section: Section) -> Section:
    """As much of a long table as a person reads; a program gets all of it."""
    if not is_terminal(sys.stdout) or len(section.rows) <= FEW:
        return section
    width = len(section.rows[0])
    more = (f"and {len(section.rows) - FEW:,} more, which --json lists", *[""] * (width - 1))
    return section._replace(rows=[*section.rows[:FEW], more])


def _selection(report: InspectReport) -> Iterator[tuple[str, str]]:
    selection = report.selection
    if selection is None or (selection.path == "" and not selection.left_out):
        return
    if selection.path:
        yield "model", selection.path
    elif selection.path is None:
        yield "model", f"can't be told: {', '.join(selection.candidates) or 'no candidate'}"
    if selection.reason:
        yield "reason", selection.reason
    if selection.left_out:
        yield "left_out", ", ".join(selection.left_out)


def _code_fact(report: InspectReport) -> Iterator[tuple[str, str]]:
    if report.code is not None:
        answer = "yes: torch.load(weights_only=False) would run code" if report.code.runs_code else "no"
        yield "runs_code", answer


def _metadata(metadata: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    for key, value in metadata.items():
        if isinstance(value, Sequence) and not isinstance(value, str):
            yield str(key), plural(len(value), "item")
        else:
            text = value if isinstance(value, str) else str(value)
            yield str(key), text if len(text) <= 200 else f"{text[:200]}... ({len(text)} characters)"


def _matching(tensors: Sequence[TensorReport]) -> list[tuple[str, str]]:
    counted = [tensor for tensor in tensors if tensor.tied_to is None]
    return [
        ("tensors", str(len(tensors))),
        ("elements", count(sum(tensor.elements for tensor in counted))),
        ("bytes", size(sum(tensor.nbytes for tensor in counted))),
    ]


def _print_list(tensors: Sequence[TensorReport]) -> None:
    if is_terminal(sys.stdout):
        shown = [
            (scaled_size(tensor.nbytes), tensor.stored_as, json_text(list(tensor.shape)), tensor.name + _tie(tensor))
            for tensor in tensors
        ]
        print_columns("Tensors", ("bytes", "dtype", "shape", "name"), shown, left=(1, 2, 3))
        return
    rows = [
        (
            tensor.name,
            tensor.stored_as,
            json_text(list(tensor.shape)),
            str(tensor.nbytes),
            tensor.file.name,
            tensor.tied_to or "-",
        )
        for tensor in tensors
    ]
    print_sections([Section("tensor", "", ("name", "dtype", "shape", "bytes", "file", "tied to"), rows)])


def _print_tree(tensors: Sequence[TensorReport], depth: int | None) -> None:
    from zoo_tools.tree import fold

    root = fold(tensors)
    branches = list(root.walk(depth))
    if is_terminal(sys.stdout):
        shown = [
            (
                scaled_size(branch.nbytes),
                f"{branch.nbytes / root.nbytes:.1%}" if root.nbytes else "",
                f"{branch.tensors:,}",
                f"{'  ' * level}{branch.label}{_kind(branch)}{_tie(branch)}",
            )
            for level, branch in branches
        ]
        print_columns("Tensors by prefix", ("bytes", "share", "tensors", "name"), shown, left=(3,))
        return
    rows = [
        (
            branch.path,
            branch.stored_as or "-",
            "-" if branch.shape is None else json_text(list(branch.shape)),
            str(branch.tensors),
            str(branch.nbytes),
            branch.tied_to or "-",
        )
        for _, branch in branches
    ]
    print_sections([Section("tree", "", ("name", "dtype", "shape", "tensors", "bytes", "tied to"), rows)])


def _kind(branch: Branch) -> str:
    return "" if branch.shape is None else f"  {branch.stored_as} {json_text(list(branch.shape))}"


def _tie(item: TensorReport | Branch) -> str:
    return "" if item.tied_to is None else f"  = {item.tied_to}"


def _label(key: str) -> str:
    if not is_terminal(sys.stdout):
        return key
    return {
        "tensor_bytes": "in tensors",
        "file_bytes": "in files",
        "left_out": "left out",
        "runs_code": "runs code",
    }.get(key, key)
