"""`zoo plugin`."""

from __future__ import annotations

import json

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
