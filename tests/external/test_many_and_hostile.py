"""Plugins that behave badly, and very many of them, as one installation."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ARCHITECTURES = """
@hookimpl
def zoo_architectures():
    return [ArchitectureSpec(name=name, config="a:B", model="a:C", modality="image", default_task="t", preprocessor="p")
            for name in {names}]
"""


@pytest.fixture
def zoo_beside(site, tmp_path):
    """Run a script, or the command, in a process that sees this checkout, and of plugins those of the test."""

    def run(*arguments, **variables):
        return subprocess.run(
            [sys.executable, *arguments],
            env={
                "PYTHONPATH": str(site),
                "PATH": "",
                "PYTHONDONTWRITEBYTECODE": "1",
                "ZOO_CONFIG_HOME": str(tmp_path / "settings"),
                **variables,
            },
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def test_no_misbehaviour_of_one_plugin_costs_another_anything(zoo_beside, fake_plugin):
    fake_plugin("zoo-raises", "raise RuntimeError('no')")
    fake_plugin("zoo-exits", "import sys\nsys.exit(3)")
    fake_plugin("zoo-prints", "print('{hello')\n" + ARCHITECTURES.format(names=["printer"]) + "    print('again')\n")
    fake_plugin("zoo-rival", ARCHITECTURES.format(names=["swin"]))
    fake_plugin(
        "zoo-future", ARCHITECTURES.format(names=["late"]) + "@hookimpl\ndef zoo_dreams():\n    1 / 0", api_version=99
    )
    fake_plugin("zoo-many", ARCHITECTURES.format(names=[f"net{number}" for number in range(200)]))
    process = zoo_beside("-m", "zoo", "list", "--json")
    assert process.returncode == 0, process.stderr
    assert "{hello" in process.stderr
    architectures = {each["full_name"]: each["name"] for each in json.loads(process.stdout)["architectures"]}
    assert sum(name.startswith("zoo-many:net") for name in architectures) == 200
    assert architectures["zoo-prints:printer"] == "printer"
    # Both are there, under the names that tell them apart.
    assert architectures["zoo-rival:swin"] == "zoo-rival:swin"
    assert architectures["zoo-swin:swin"] == "zoo-swin:swin"
    plugins = json.loads(zoo_beside("-m", "zoo", "plugins", "--json").stdout)["plugins"]
    failures = {each["distribution"]: each["failure"] for each in plugins if each["status"] == "failed"}
    assert failures.keys() == {"zoo-raises", "zoo-exits", "zoo-future"}
    assert "version 99 of the plugin contract" in failures["zoo-future"]
    ambiguous = zoo_beside("-m", "zoo", "info", "swin")
    assert ambiguous.returncode == 1
    assert "zoo-rival:swin" in ambiguous.stderr and "ZOO_PREFER=swin=" in ambiguous.stderr


COUNT = """
import io, json, sys
calls = opened = 0
def count(frame, event, argument):
    global calls
    calls += event in ("call", "c_call")
def audit(event, arguments):
    global opened
    opened += event == "open"
sys.addaudithook(audit)
from zoo.cli import main
kept, sys.stdout = sys.stdout, io.StringIO()
sys.setprofile(count)
status = main(["list", "heads"])
sys.setprofile(None)
printed, sys.stdout = sys.stdout.getvalue(), kept
print(json.dumps([status, sum(line.startswith("zoo-x") for line in printed.splitlines()), calls, opened]))
"""

HEADS = """from zoo.plugins import hookimpl
from zoo.spec import FeatureRequirement, HeadSpec, Manifest
@hookimpl
def zoo_manifest():
    return Manifest(api_version=1, licence="MIT")
@hookimpl
def zoo_heads():
    return [HeadSpec(name=__name__.partition(".")[0].replace("_", "-"), task="t", head="a:B", config="a:C",
                     requires=FeatureRequirement(kind="map"))]
"""


def install(site: Path, numbers: range) -> None:
    for number in numbers:
        package, metadata = site / f"zoo_x{number}", site / f"zoo_x{number}-1.0.dist-info"
        package.mkdir()
        metadata.mkdir()
        (package / "__init__.py").touch()
        (package / "_plugin.py").write_text(HEADS)
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: zoo-x{number}\nVersion: 1.0\n")
        (metadata / "entry_points.txt").write_text(f"[zoo.plugins]\nx = zoo_x{number}._plugin\n")


def test_listing_grows_linearly_with_the_plugins(zoo_beside, site):
    """A thousand of them: in the number of calls, where a loop over all for each would show, and of files read."""
    found = []
    for numbers in (range(0), range(200), range(200, 1000)):
        install(site, numbers)
        status, listed, calls, opened = json.loads(zoo_beside("-c", COUNT).stdout)
        assert (status, listed) == (0, numbers.stop)
        found.append((calls, opened))
    (calls_0, opened_0), (calls_200, opened_200), (calls_1000, opened_1000) = found
    assert 4 < (calls_1000 - calls_0) / (calls_200 - calls_0) < 5.5
    # The entry points, the package's __init__ and the plugin's module, and for these two, first, what is compiled.
    assert opened_1000 - opened_200 == 4 * (opened_200 - opened_0) <= 800 * 5
