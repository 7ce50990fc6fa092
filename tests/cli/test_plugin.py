"""`zoo plugin`."""

from __future__ import annotations

import json
import re
import tomllib

import pytest

HANGS_WHEN_LOADED = "import os\nos._exit(7)  # as after a crash; a test should not wait for one that hangs"


def test_a_plugin_that_takes_the_process_down_is_switched_off_and_on_again(zoo_process, fake_plugin, tmp_path):
    fake_plugin("zoo-bad", HANGS_WHEN_LOADED)
    assert zoo_process("list").returncode == 7
    process = zoo_process("plugin", "disable", "bad")
    assert process.returncode == 0, process.stderr
    assert str(tmp_path / "settings" / "disabled-plugins.txt") in process.stdout
    assert "zoo-bad:bad\t1.0\t-\tdisabled" in zoo_process("plugins").stdout
    assert zoo_process("list").returncode == 0
    assert zoo_process("list", ZOO_PLUGINS="zoo-bad").returncode == 7
    assert json.loads(zoo_process("plugin", "enable", "Zoo_Bad", "--json").stdout) == {
        "name": "zoo-bad",
        "disabled": False,
        "changed": True,
    }
    assert zoo_process("list").returncode == 7


def test_saying_it_twice_changes_nothing(zoo_process, fake_plugin):
    fake_plugin("zoo-off")
    assert "was not disabled" in zoo_process("plugin", "enable", "zoo-off").stdout
    changed = [json.loads(zoo_process("plugin", "disable", "zoo-off", "--json").stdout)["changed"] for _ in range(2)]
    assert changed == [True, False]


def test_a_part_of_what_is_disabled_can_not_be_enabled_by_itself(zoo_process, fake_plugin):
    fake_plugin("zoo-off")
    zoo_process("plugin", "disable", "zoo-off")
    process = zoo_process("plugin", "enable", "zoo-off:off")
    assert process.returncode == 1 and "zoo plugin enable zoo-off" in process.stderr


def test_what_is_no_longer_installed_can_be_enabled(zoo_process, tmp_path):
    settings = tmp_path / "settings"
    settings.mkdir()
    (settings / "disabled-plugins.txt").write_text("zoo-gone\n")
    assert zoo_process("plugin", "enable", "zoo-gone").returncode == 0
    assert zoo_process("plugin", "enable", "zoo-gone").returncode == 1


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("zoo-ofg", "Did you mean 'zoo-off'"),
        ("zoo-sdk", "can't be disabled"),
        ("twin", "zoo-one:twin, zoo-two:twin"),
    ],
)
def test_a_name_that_means_none_or_several_is_refused(zoo_process, fake_plugin, fake_distribution, name, said):
    fake_plugin("zoo-off")
    for distribution in ("zoo-one", "zoo-two"):
        fake_distribution(distribution, entry_points={"twin": "nowhere"})
    process = zoo_process("plugin", "disable", name)
    assert process.returncode == 1 and said in process.stderr


def test_an_allowlist_that_decides_alone_is_told(zoo_process, fake_plugin):
    fake_plugin("zoo-off")
    assert "ZOO_PLUGINS is set" in zoo_process("plugin", "disable", "zoo-off", ZOO_PLUGINS="zoo-off").stderr


def test_the_help_of_a_subcommand_needs_no_plugin(zoo_process, fake_plugin):
    fake_plugin("zoo-bad", HANGS_WHEN_LOADED)
    process = zoo_process("plugin", "--help")
    assert process.returncode == 0 and "disable" in process.stdout


GOOD = """
@hookimpl
def zoo_presets():
    return [PresetSpec(name="p", architecture="{architecture}", sources=("x",), summary="{summary}")]
"""


def test_a_new_package_is_written_under_its_own_names(zoo_process, tmp_path):
    directory = tmp_path / "here" / "a package"
    arguments = ("plugin", "new", "zoo-My_Net", "--architecture", "--directory", str(directory))
    told = json.loads(zoo_process(*arguments, "--licence", "Apache-2.0", "--dry-run", "--json").stdout)
    assert not directory.parent.exists() and told["written"] is False
    process = zoo_process(*arguments, "--licence", "Apache-2.0", "--author", "A. Person")
    assert process.returncode == 0, process.stderr
    assert f"cd '{directory}'" in process.stdout and "zoo plugin check zoo-my-net" in process.stdout
    written = {path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file()}
    assert written == set(told["files"])
    project = tomllib.loads((directory / "pyproject.toml").read_text())["project"]
    assert (project["name"], project["license"]) == ("zoo-my-net", "Apache-2.0")
    assert project["entry-points"]["zoo.plugins"] == {"my-net": "zoo_my_net._plugin"}
    text = "".join((directory / name).read_text() for name in written)
    assert "tinynet" not in text.lower() and not re.search("@[A-Z_]+@", text)
    assert "class MyNet(Model)" in text and 'licence="Apache-2.0"' in text
    assert "Apache License" in (directory / "LICENSE").read_text()
    again = zoo_process(*arguments)
    assert again.returncode == 1 and "is there already" in again.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("swin", "--architecture"), "zoo-swin is installed already"),
        (("swinv2", "--architecture"), "There is an architecture 'swinv2' already"),
        (("causal-lm", "--head"), "There is a head 'causal-lm' already"),
        (("2net", "--head"), "can't be the name"),
        (("../net", "--head"), "can't be the name"),
        (("nét", "--head"), "can't be the name"),
        (("none", "--head"), "has a meaning of its own"),
        (("net",), "Give one of --architecture, --head, --task, --format"),
        (("net", "--head", "--task"), "Give one of"),
    ],
)
def test_a_name_that_can_not_be_or_is_taken_writes_nothing(zoo_here, tmp_path, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)
    finished = zoo_here("plugin", "new", *arguments)
    assert finished.exit_code != 0 and said in finished.stderr
    assert not list(tmp_path.glob("zoo-*"))


def test_a_write_that_fails_leaves_nothing(zoo_here, tmp_path, monkeypatch):
    from pathlib import Path

    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "rename", full)
    finished = zoo_here("plugin", "new", "net", "--head", "--directory", str(tmp_path / "new" / "net"))
    assert finished.exit_code == 1 and "No space left" in finished.stderr
    assert not list((tmp_path / "new").iterdir())


def test_a_check_says_what_is_wrong_and_what_to_change(zoo_process, fake_plugin, tmp_path):
    fake_plugin("zoo-poor", GOOD.format(architecture="unheard-of", summary=""))
    process = zoo_process("plugin", "check", "zoo-poor", "--badge", str(tmp_path / "badge.json"))
    assert process.returncode == 1
    assert "failed: every name that is used is known" in process.stdout
    assert "unheard-of" in process.stdout
    assert process.stdout.splitlines()[-1] == "zoo-poor 1.0: 4 passed, 2 failed"
    assert "brings no tests" in process.stderr
    badge = json.loads((tmp_path / "badge.json").read_text())
    assert (badge["message"], badge["color"]) == ("2 of 6 failed", "red")


def test_a_check_of_what_does_not_load_or_is_not_there(zoo_process, fake_plugin):
    fake_plugin("zoo-bad", "1 / 0")
    process = zoo_process("plugin", "check", "zoo-bad")
    assert process.returncode == 1 and "ZeroDivisionError" in process.stdout
    assert "'zoo-worse' is installed" in zoo_process("plugin", "check", "zoo-worse").stderr
    zoo_process("plugin", "disable", "zoo-bad")
    assert "zoo-bad:bad can't be checked: it is disabled" in zoo_process("plugin", "check", "zoo-bad").stderr


def test_names_that_another_plugin_has_are_a_failure(zoo_process, fake_plugin):
    fake_plugin(
        "zoo-rival",
        GOOD.format(architecture="zoo-swin:swin", summary="s").replace('"p"', '"swin-tiny-patch4-window7-224"'),
    )
    process = zoo_process("plugin", "check", "zoo-rival", "--no-tests")
    assert "failed: names mean one thing" in process.stdout and "zoo-swin" in process.stdout


TESTS = """
import warnings
import zoo.testing

class TestConformance:
    def test_it_works(self): pass
    def test_it_does_not(self): assert False, "Change this."
    def test_it_may(self):
        import pytest
        pytest.skip("not here")
    def test_more_than_it_says(self):
        warnings.warn("It does not declare 'export'", zoo.testing.UndeclaredCapability)
"""


def test_its_own_tests_are_counted_with_what_they_report(zoo_process, fake_plugin, tmp_path):
    fake_plugin("zoo-good", GOOD.format(architecture="zoo-swin:swin", summary="A preset"))
    tests = tmp_path / "test_conformance.py"
    tests.write_text(TESTS)
    process = zoo_process("plugin", "check", "zoo-good", "--tests", str(tests), "--json")
    [report] = json.loads(process.stdout)["plugins"]
    of_tests = {each["name"]: (each["outcome"], each["message"]) for each in report["checks"][-4:]}
    assert of_tests == {
        "TestConformance: it works": ("passed", ""),
        "TestConformance: it does not": ("failed", "Change this.\nassert False"),
        "TestConformance: it may": ("skipped", "not here"),
        "TestConformance: more than it says": ("passed", ""),
    }
    assert report["undeclared"] == ["It does not declare 'export'"]
    assert report["summary"].endswith("2 failed, 1 undeclared capability")
    tests.write_text("import zoo.testing, unheard_of  # Conformance")
    assert "unheard_of" in zoo_process("plugin", "check", "zoo-good", "--tests", str(tests)).stdout
    tests.write_text("import os\nos._exit(5)")
    process = zoo_process("plugin", "check", "zoo-good", "--tests", str(tests))
    assert process.returncode == 1 and "failed: its own tests can be run" in process.stdout
