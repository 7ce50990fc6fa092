"""The conformance tests that a plugin brings: where they are, and what comes out of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from importlib import metadata
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from zoo.checking.report import Result
from zoo.errors import PluginError

__all__ = ["conformance_files", "run_own_tests"]

REPORT_VARIABLE = "ZOO_CHECK_REPORT"


def conformance_files(distribution: str) -> list[Path]:
    """The test files of an installed distribution that use the kit: in what was installed or, where that is a link to a
    checkout, in its folder of tests.
    """
    found = metadata.distribution(distribution)
    installed = (Path(str(file.locate())) for file in found.files or () if _is_test(file.name))
    return sorted({file for file in (*installed, *_of_checkout(found)) if _uses_kit(file)})


def run_own_tests(files: Sequence[Path]) -> tuple[list[Result], list[str]]:
    """Run test files with pytest in a process of their own: the results, and what is not declared and works.

    Raises PluginError when there is no pytest, or it can't run them.
    """
    with tempfile.TemporaryDirectory() as directory:
        report = Path(directory, "report.json")
        root = os.path.commonpath([file.resolve().parent for file in files])
        command = [sys.executable, "-m", "pytest", *(str(file.resolve()) for file in files)]
        # Not the package's own settings of pytest: they may make warnings errors, or leave out what is slow.
        command += ["--quiet", "--import-mode=importlib", "--rootdir", root, "-c", os.devnull]
        command += ["-p", "no:cacheprovider", "-p", "zoo.checking.recorder"]
        process = subprocess.run(
            command,
            env={**os.environ, REPORT_VARIABLE: str(report)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        if not report.exists():
            said = "\n".join((process.stdout + process.stderr).strip().splitlines()[-12:])
            raise PluginError(
                f"pytest could not run {', '.join(map(str, files))}:\n{said}",
                hint="The kit needs pytest, and the tests what they import: pip install pytest",
            )
        recorded = json.loads(report.read_text(encoding="utf-8"))
    return [Result(*each) for each in recorded["results"]], recorded["undeclared"]


def _of_checkout(distribution: metadata.Distribution) -> Iterator[Path]:
    """The tests beside an editable installation (PEP 610)."""
    text = distribution.read_text("direct_url.json")
    if not text:
        return
    origin = json.loads(text)
    address = urlsplit(origin.get("url", ""))
    if address.scheme == "file" and origin.get("dir_info", {}).get("editable"):
        yield from _tests_below(Path(url2pathname(address.path), "tests"))


def _tests_below(directory: Path) -> Iterable[Path]:
    return (file for file in directory.rglob("*.py") if _is_test(file.name)) if directory.is_dir() else ()


def _is_test(name: str) -> bool:
    return name.endswith(".py") and name.startswith("test_")


def _uses_kit(file: Path) -> bool:
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return False
    return "zoo.testing" in text and "Conformance" in text
