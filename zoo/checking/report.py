"""What came out of checking a plugin."""

from __future__ import annotations

from typing import Literal, NamedTuple

__all__ = ["Outcome", "Report", "Result"]

Outcome = Literal["passed", "failed", "skipped"]


class Result(NamedTuple):
    """One check. message: what is wrong and what to change; why it was skipped; or ""."""

    name: str
    outcome: Outcome
    message: str = ""


class Report(NamedTuple):
    """All checks of a distribution. undeclared: what it can do and does not declare, a sentence each. own_tests: the
    files of its own tests that were run.
    """

    distribution: str
    version: str
    results: tuple[Result, ...]
    undeclared: tuple[str, ...] = ()
    own_tests: tuple[str, ...] = ()

    def count(self, outcome: Outcome) -> int:
        """How many checks ended so."""
        return sum(result.outcome == outcome for result in self.results)

    @property
    def summary(self) -> str:
        """One line: "zoo-swin 0.1.0: 31 passed, 0 failed, 2 undeclared capabilities"."""
        line = f"{self.distribution} {self.version}: {self.count('passed')} passed, {self.count('failed')} failed"
        if self.undeclared:
            line += (
                f", {len(self.undeclared)} undeclared {'capability' if len(self.undeclared) == 1 else 'capabilities'}"
            )
        return line

    @property
    def badge(self) -> dict[str, str | int]:
        """For https://shields.io/badges/endpoint-badge."""
        failed = self.count("failed")
        message = f"{failed} of {len(self.results)} failed" if failed else f"{self.count('passed')} passed"
        return {
            "schemaVersion": 1,
            "label": "zoo conformance",
            "message": message,
            "color": "red" if failed else "brightgreen" if self.own_tests else "green",
        }
