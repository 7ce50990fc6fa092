"""The guides of plugins: the tutorial is followed to the letter in an empty directory."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs" / "plugins"


def blocks(page, language):
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(encoding="utf-8"), re.M | re.S)


def commands(page):
    lines = [line for block in blocks(DOCS / page, "console") for line in block.splitlines()]
    assert lines and all(line.startswith("$ ") for line in lines)
    return [line.removeprefix("$ ") for line in lines]


@pytest.mark.slow
def test_its_end_is_a_plugin_that_passes_its_tests_and_a_wheel(outside, tmp_path):
    printed = outside.run_shell(" && ".join(commands("tutorial.md")), cwd=tmp_path)
    package = tmp_path / "zoo-mynet"
    assert re.search(r"\b\d\d passed", printed) and "failed" not in printed.replace("0 failed", "")
    assert [path.name for path in (package / "dist").iterdir()] == ["zoo_mynet-0.1.0-py3-none-any.whl"]
    for name in re.findall(r"^\| `([^ ]+)`", (DOCS / "tutorial.md").read_text(encoding="utf-8"), re.M):
        assert (package / name).exists(), name
    code = [*blocks(DOCS / "tutorial.md", "python"), *blocks(package / "README.md", "python")]
    assert len(code) == 2
    outside.run("python", "-c", "\n".join(code), cwd=tmp_path)
    printed = outside.run_shell(" && ".join(commands("external.md")), cwd=tmp_path)
    assert "zoo-mynet is disabled" in printed and "zoo-mynet:mynet\t0.1.0\t-\tdisabled" in printed
    assert "zoo-mynet is enabled" in printed


def test_what_is_said_to_be_public_is_there():
    text = (DOCS / "external.md").read_text(encoding="utf-8")
    modules = re.findall(r"`(zoo[a-z_.]*)`", "".join(re.findall(r"^\| (`zoo[^|]*)\|", text, re.M)))
    assert "zoo.spec" in modules and "zoo.testing" in modules
    for name in modules:
        importlib.import_module(name)
