"""A plugin of pytest that writes down what came of each test, and which capabilities were not declared."""

from __future__ import annotations

import json
import os
import warnings
from pathlib import Path
from typing import Any

__all__: list[str] = []

_results: dict[str, tuple[str, str, str]] = {}
_undeclared: list[str] = []


def pytest_runtest_logreport(report: Any) -> None:
    """A test's setup, call and teardown are reported one by one; the worst of them counts."""
    before = _results.get(report.nodeid)
    if before is not None and (before[1] == "failed" or report.outcome == "passed"):
        return
    _results[report.nodeid] = (_name(report.nodeid), report.outcome, _message(report))


def pytest_collectreport(report: Any) -> None:
    """A file that can't be imported has no tests to fail."""
    if report.outcome == "failed":
        _results[report.nodeid] = (f"{report.nodeid} can be imported", "failed", str(report.longrepr).strip())


def pytest_warning_recorded(warning_message: warnings.WarningMessage) -> None:
    """The kit warns of what works and is not declared."""
    if warning_message.category.__name__ == "UndeclaredCapability":
        _undeclared.append(str(warning_message.message))


def pytest_sessionfinish() -> None:
    """At the end all is written at once."""
    recorded = {"results": list(_results.values()), "undeclared": _undeclared}
    Path(os.environ["ZOO_CHECK_REPORT"]).write_text(json.dumps(recorded), encoding="utf-8")


def _name(node: str) -> str:
    """ "TestSwin: exports" for "tests/test_conformance.py::TestSwin::test_exports"."""
    _, *places = node.split("::")
    return ": ".join([*places[:-1], places[-1].removeprefix("test_").replace("_", " ")])


def _message(report: Any) -> str:
    if report.outcome == "passed":
        return ""
    if report.outcome == "skipped":
        return str(report.longrepr[2]).removeprefix("Skipped: ")
    crash = getattr(report.longrepr, "reprcrash", None)
    return str(crash.message if crash is not None else report.longrepr).removeprefix("AssertionError: ")
