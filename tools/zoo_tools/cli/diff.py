"""`zoo diff`: how two checkpoints differ."""

from __future__ import annotations

import sys

import click

from zoo.cli.output import Section, is_terminal, json_option, json_text, print_json, print_sections
from zoo.cli.progress import progress_bar
from zoo_tools.cli.rows import print_rows
from zoo_tools.comparison import DiffReport, TensorChange, diff
from zoo_tools.statistics import Statistics

__all__ = ["command"]

DIFFERENT = 1


@click.command(
    epilog="""\b
Examples:
  zoo diff base finetuned                   which tensors were added, removed, reshaped, retyped, changed
  zoo diff base finetuned --stats           and by how much, and where
  zoo diff a.bin b --exit-code              1 when there is a difference, as for git diff
  zoo diff a b --stats --json               {"same": false, "equal": 12, "changes": [...]}

Any two formats can be compared. --stats shows the largest |a - b|, and the largest of |a - b| / max(|a|, |b|), each
with the index where it is; it needs numpy.""",
)
@click.argument("a")
@click.argument("b")
@click.option("--stats", is_flag=True, help="Show how much elements differ, and where.")
@click.option("--select", metavar="PREFIX", help="The part of a training checkpoint that is meant, e.g. state_dict.")
@click.option("--exit-code", is_flag=True, help="Exit with 1 when there is a difference.")
@json_option
@click.pass_context
def command(
    ctx: click.Context, a: str, b: str, stats: bool, select: str | None, exit_code: bool, as_json: bool
) -> None:
    """Show how the tensors of checkpoint B differ from those of A."""
    with progress_bar("Comparing", in_bytes=True) as progress:
        report = diff(a, b, stats=stats, select=select, progress=progress)
    if as_json:
        print_json(report.to_json())
    else:
        print_sections([_counts(report)])
        if report.changes:
            print_rows(_sentences(report) if is_terminal(sys.stdout) else _fields(report, stats))
    if exit_code and not report.same:
        ctx.exit(DIFFERENT)


def _counts(report: DiffReport) -> Section:
    counts = {"equal": report.equal}
    for change in report.changes:
        counts[change.kind] = counts.get(change.kind, 0) + 1
    return Section("", "", None, [(kind, str(number)) for kind, number in counts.items()])


def _sentences(report: DiffReport) -> Section:
    """For a person: what stands out in one line each."""
    return Section(
        "change", "Changes", ("name", "change"), [(change.name, _sentence(change)) for change in report.changes]
    )


def _sentence(change: TensorChange) -> str:
    if change.kind == "unreadable":
        return f"can't be read: {change.reason}"
    if change.before is None or change.after is None:
        return f"{change.kind}: {_tensor(change.before or change.after)}"
    parts = [f"{change.kind}: {_tensor(change.before)}"]
    if change.kind != "changed":
        parts.append(f"-> {_tensor(change.after)}")
    statistics = change.statistics
    if statistics is not None and statistics.differing:
        parts.append(
            f"{statistics.differing:,} {'element differs' if statistics.differing == 1 else 'elements differ'}, "
            f"by at most {statistics.max_absolute:.3g} at {list(statistics.max_absolute_at)}, "
            f"relatively {statistics.max_relative:.3g} at {list(statistics.max_relative_at)}"
        )
        if statistics.nan:
            parts.append(f"({statistics.nan:,} NaN in one alone)")
    elif statistics is not None:
        parts.append("equal values")
    if change.reason:
        parts.append(f"({change.reason})")
    return " ".join(parts)


def _fields(report: DiffReport, stats: bool) -> Section:
    """For a program: what changed, and everything about it in a place of its own."""
    rows = []
    for change in report.changes:
        row = [change.kind, change.name, _tensor(change.before), _tensor(change.after)]
        rows.append([*row, *(_statistics(change.statistics) if stats else ()), change.reason or "-"])
    return Section("change", "", ["change"] * (10 if stats else 5), rows)


def _tensor(tensor: tuple[str, tuple[int, ...]] | None) -> str:
    return "-" if tensor is None else f"{tensor[0]} {json_text(list(tensor[1]))}"


def _statistics(statistics: Statistics | None) -> list[str]:
    if statistics is None:
        return ["-"] * 5
    return [
        str(statistics.differing),
        f"{statistics.max_absolute:.6g}",
        json_text(list(statistics.max_absolute_at)),
        f"{statistics.max_relative:.6g}",
        json_text(list(statistics.max_relative_at)),
    ]
