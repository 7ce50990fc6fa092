"""What the benchmarks share: sides in turns, rows with a bar, and the tables of benchmarks/README.md."""

from __future__ import annotations

import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Row", "compile_all", "in_turns", "interleaved", "render", "write"]

README = Path(__file__).with_name("README.md")
MET = {True: "yes", False: "**no**", None: "-"}


@dataclass(frozen=True)
class Row:
    """One line of a table. ratio: as text, empty where there is no peer. bar: what the ratio, or the value, is to be,
    and met whether it is; "" and None where there is none.
    """

    what: str
    zoo: str
    peer: str
    ratio: str
    bar: str = ""
    met: bool | None = None


def in_turns(sides: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, float]:
    """The median of every side, run in turns so that a noisy machine disturbs all alike; who begins changes from round
    to round.
    """
    results: dict[str, list[float]] = {name: [] for name in sides}
    names = list(sides)
    for round_ in range(rounds):
        first = round_ % len(names)
        for name in names[first:] + names[:first]:
            results[name].append(sides[name]())
    return {name: statistics.median(values) for name, values in results.items()}


def interleaved(ours: Callable[[], float], theirs: Callable[[], float], rounds: int) -> tuple[float, float]:
    """The medians of two sides."""
    medians = in_turns({"ours": ours, "theirs": theirs}, rounds)
    return medians["ours"], medians["theirs"]


def render(title: str, rows: Sequence[Row], peer: str = "peer") -> str:
    """The table in Markdown. title: what it was measured on."""
    lines = [title, "", f"| what | zoo | {peer} | ratio | bar | met |", "|---|---|---|---|---|---|"]
    lines += [f"| {row.what} | {row.zoo} | {row.peer} | {row.ratio} | {row.bar} | {MET[row.met]} |" for row in rows]
    return "\n".join(lines)


def write(name: str, table: str) -> None:
    """Put the table between the markers of this name in benchmarks/README.md."""
    begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
    text = README.read_text(encoding="utf-8")
    before, after = text.split(begin)[0], text.split(end)[1]
    README.write_text(f"{before}{begin}\n{table}\n{end}{after}", encoding="utf-8")


def compile_all() -> None:
    """Compile zoo's modules, as pip does with what it installs, the libraries among it. A checkout that runs in place
    where PYTHONDONTWRITEBYTECODE is set would compile them at each start.
    """
    root = Path(__file__).resolve().parent.parent
    folders = [str(root / name) for name in ("zoo", "tools", "plugins")]
    subprocess.run([sys.executable, "-m", "compileall", "-q", *folders], check=True)
