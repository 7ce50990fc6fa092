"""What `zoo plugin new` writes is installed and checked as it is; an architecture in the test of the tutorial."""

from __future__ import annotations

import json

import pytest

pytestmark = pytest.mark.slow

KINDS = ("head", "task", "format")


@pytest.fixture(scope="module")
def written(outside, tmp_path_factory):
    """The directory of a plugin of each kind, all of which are installed."""
    directory = tmp_path_factory.mktemp("new")
    made = {}
    for kind in KINDS:
        told = json.loads(outside.run("zoo", "plugin", "new", f"my-{kind}", f"--{kind}", "--json", cwd=directory))
        made[kind] = directory / told["directory"]
    outside.run("pip", "install", *(word for path in made.values() for word in ("-e", f"{path}[test]")))
    return made


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_plugin_passes_the_kit_at_once(outside, written, tmp_path, kind):
    badge = tmp_path / "badge.json"
    found = json.loads(outside.run("zoo", "plugin", "check", f"zoo-my-{kind}", "--json", "--badge", badge))
    [report] = found["plugins"]
    assert report["own_tests"] == [str(written[kind] / "tests" / "test_conformance.py")]
    assert found["failed"] == 0 and report["passed"] >= 15 and report["undeclared"] == []
    assert json.loads(badge.read_text()) == {
        "schemaVersion": 1,
        "label": "zoo conformance",
        "message": f"{report['passed']} passed",
        "color": "brightgreen",
    }


def test_it_is_used_by_its_name(outside, written, tmp_path):
    assert "zoo-my-head 0.1.0" in outside.run("zoo", "list", "heads")
    file = tmp_path / "weights.bin"
    file.write_bytes(b"my-format 1\na.weight\tF32\t2\n\n" + bytes(8))
    assert "a.weight" in outside.run("zoo", "inspect", file)


def test_a_name_that_is_taken_is_refused(outside, written, tmp_path):
    outside.run("zoo", "plugin", "new", "my-head", "--head", cwd=tmp_path, fails=True)
    assert not list(tmp_path.iterdir())
