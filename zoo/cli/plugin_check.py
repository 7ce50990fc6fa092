"""`zoo plugin check`: does an installed plugin keep to the contract?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from zoo.checking import Report, Result, check_declared, conformance_files, run_own_tests
from zoo.cli.output import json_option, json_text, print_json
from zoo.cli.text import escaped, escaped_lines
from zoo.describe import Description
from zoo.errors import NameNotFound, PluginError
from zoo.plugins import PluginInfo, plugins
from zoo.plugins.discovery import normalise
from zoo.plugins.manager import BUILT_IN

__all__ = ["check"]

FAILED = 1


@click.command(
    epilog="""\b
Examples:
  zoo plugin check zoo-mynet                   one plugin
  zoo plugin check                             all that are installed
  zoo plugin check zoo-mynet --tests tests/test_conformance.py
  zoo plugin check zoo-mynet --badge badge.json
  zoo plugin check zoo-mynet --json            {"plugins": [{"distribution": ..., "checks": [...], ...}], "failed": 0}

A plugin's own tests are run where it brings some that use zoo.testing: beside an editable installation in its folder
tests, or in the package itself. They run in a process of their own, and need pytest. The exit code is 1 when a check
fails.""",
)
@click.argument("distribution", metavar="[DIST]", required=False)
@click.option(
    "--tests",
    "tests",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Run these conformance tests, not those that are found. May be repeated.",
)
@click.option("--no-tests", is_flag=True, help="Run no tests of its own, only what its specs say can be checked.")
@click.option(
    "--badge",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write a summary there, for https://shields.io/badges/endpoint-badge.",
)
@click.option("-v", "--verbose", is_flag=True, help="Show the checks that passed and those that were skipped, too.")
@json_option
@click.pass_context
def check(
    ctx: click.Context,
    distribution: str | None,
    tests: tuple[Path, ...],
    no_tests: bool,
    badge: Path | None,
    verbose: bool,
    as_json: bool,
) -> None:
    """Hold the plugin of the distribution DIST to the contract, or each that is installed."""
    if distribution is None and (tests or badge is not None):
        raise click.UsageError("--tests and --badge are about one plugin: name its distribution.")
    if tests and no_tests:
        raise click.UsageError("--tests and --no-tests exclude each other.")
    reports = []
    for name, infos in _chosen(distribution).items():
        report = _report(name, infos, [] if no_tests else list(tests) or conformance_files(name))
        reports.append(report)
        if not as_json:
            _tell(report, verbose, no_tests)
    if badge is not None:
        badge.write_text(json_text(reports[0].badge, indent=2) + "\n", encoding="utf-8")
    failed = sum(report.count("failed") for report in reports)
    if as_json:
        print_json({"plugins": [_described(report) for report in reports], "failed": failed})
    if failed:
        ctx.exit(FAILED)


def _chosen(distribution: str | None) -> dict[str, list[PluginInfo]]:
    """Distribution -> its plugins. Raises NameNotFound or PluginError for one that can't be checked."""
    found: dict[str, list[PluginInfo]] = {}
    for info in plugins():
        if info.name != BUILT_IN.full_name:
            found.setdefault(info.distribution, []).append(info)
    if distribution is None:
        return {name: infos for name, infos in found.items() if any(not info.left_out for info in infos)}
    name = normalise(distribution)
    if name not in found:
        known = ", ".join(found) or "none"
        raise NameNotFound(f"No plugin of a distribution {distribution!r} is installed.", hint=f"Installed: {known}.")
    left_out = [info for info in found[name] if info.left_out]
    if left_out:
        raise PluginError(f"{left_out[0].name} can't be checked: it is {left_out[0].left_out}.")
    return {name: found[name]}


def _report(distribution: str, infos: Sequence[PluginInfo], tests: Sequence[Path]) -> Report:
    results = list(check_declared(distribution, infos))
    undeclared: list[str] = []
    if tests and all(info.loaded for info in infos):
        try:
            of_tests, undeclared = run_own_tests(tests)
            results += of_tests
        except PluginError as error:  # no pytest, or one of its tests ended it
            results.append(Result("its own tests can be run", "failed", str(error)))
    return Report(distribution, infos[0].version, tuple(results), tuple(undeclared), tuple(map(str, tests)))


def _tell(report: Report, verbose: bool, no_tests: bool) -> None:
    for result in report.results:
        if result.outcome == "failed" or verbose:
            click.echo(f"{result.outcome}: {escaped(result.name)}")
            if result.message:
                click.echo("\n".join(f"    {line}" for line in escaped_lines(result.message).splitlines()))
    for sentence in report.undeclared:
        click.echo(f"undeclared: {escaped_lines(sentence)}")
    if not report.own_tests and not no_tests:
        click.echo(
            f"{report.distribution} brings no tests that use zoo.testing: only its specs were checked.", err=True
        )
    click.echo(report.summary)


def _described(report: Report) -> Description:
    return {
        "distribution": report.distribution,
        "version": report.version,
        "summary": report.summary,
        "passed": report.count("passed"),
        "failed": report.count("failed"),
        "skipped": report.count("skipped"),
        "undeclared": list(report.undeclared),
        "own_tests": list(report.own_tests),
        "checks": [result._asdict() for result in report.results],
        "badge": report.badge,
    }
