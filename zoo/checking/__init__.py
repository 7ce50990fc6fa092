"""Checks of an installed plugin: what its specs promise, and its own conformance tests."""

from __future__ import annotations

from zoo.checking.declared import check_declared
from zoo.checking.own_tests import conformance_files, run_own_tests
from zoo.checking.report import Outcome, Report, Result

__all__ = ["Outcome", "Report", "Result", "check_declared", "conformance_files", "run_own_tests"]
