"""`zoo verify`: whether a checkpoint is sound, or two hold the same tensors."""

from __future__ import annotations

from collections.abc import Iterator

import click

from zoo.cli.output import Section, json_option, print_json, print_sections
from zoo.cli.progress import progress_bar
from zoo.cli.wording import plural, scaled_size
from zoo_tools.verification import VerifyReport, verify

__all__ = ["command"]

DIFFERENT = 1
MOST_SHOWN = 50


@click.command(
    epilog="""\b
Examples:
  zoo verify path/to/directory              its headers, index, shards; checksums where there are such
  zoo verify pytorch_model.bin out          whether both hold the same tensors, bit for bit
  zoo verify last.ckpt out --select ema     the same for one part of a training checkpoint
  zoo verify a b --json                     {"ok": true, "tensors": 291, "differences": [], ...}

The format and sharding of the two don't matter: elements are compared, as row-major little-endian bytes, so that NaN
equals itself. Encoded tensors (GGUF) are decoded first. The exit code is 0 when all is well and 1 when it is not.""",
)
@click.argument("a")
@click.argument("b", required=False)
@click.option("--select", metavar="PREFIX", help="The part of a training checkpoint that is meant, e.g. state_dict.")
@json_option
@click.pass_context
def command(ctx: click.Context, a: str, b: str | None, select: str | None, as_json: bool) -> None:
    """Check the checkpoint A; or, given B, that both hold the same tensors."""
    if select is not None and b is None:
        raise click.UsageError("--select is for comparing; a checkpoint by itself is checked as a whole.")
    with progress_bar("Verifying", in_bytes=True) as progress:
        report = verify(a, b, select=select, progress=progress)
    if as_json:
        print_json(report.to_json())
    else:
        print_sections([Section("", "", None, list(_facts(report)))])
    if not report.ok:
        ctx.exit(DIFFERENT)


def _facts(report: VerifyReport) -> Iterator[tuple[str, str]]:
    amount = f"{plural(report.tensors, 'tensor')}, {scaled_size(report.nbytes)}"
    if report.b is not None:
        if report.ok:
            yield "same", f"{amount}: equal bit for bit"
        else:
            yield "different", f"{plural(len(report.differences), 'tensor')}; equal: {amount}"
    else:
        yield ("sound" if report.ok else "damaged"), f"{report.a}: {amount}"
        yield "checked", ", ".join(report.checks)
    for problem in report.problems[:MOST_SHOWN]:
        yield "problem", problem
    for difference in report.differences[:MOST_SHOWN]:
        yield difference.kind, f"{difference.name}{': ' if difference.detail else ''}{difference.detail}"
    rest = max(0, len(report.differences) - MOST_SHOWN) + max(0, len(report.problems) - MOST_SHOWN)
    if rest:
        yield "more", f"{rest}, which --json lists"
    for note in report.notes:
        yield "note", note
