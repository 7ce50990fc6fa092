"""Plugins that the user has switched off: where that is written, and that nothing of them runs."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from zoo.errors import PluginError
from zoo.plugins.disabled import FILE_NAME, config_home, read_disabled, write_disabled
from zoo.plugins.discovery import EntryPoint
from zoo.plugins.settings import PluginSettings

SWIN = EntryPoint("zoo-swin", "1", "swin", "", "")
OF_PLUGIN = """
    import json, zoo
    print(json.dumps({info.name: [info.loaded, info.disabled] for info in zoo.plugins()}))
"""


def test_the_settings_are_where_the_user_or_the_system_says(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    chosen = {"ZOO_CONFIG_HOME": "here", "XDG_CONFIG_HOME": str(tmp_path / "xdg")}
    assert config_home(chosen) == "here"
    assert config_home({**chosen, "ZOO_CONFIG_HOME": ""}) == str(tmp_path / "xdg" / "zoo")
    for platform, expected in (("linux", ".config/zoo"), ("darwin", "Library/Application Support/zoo")):
        monkeypatch.setattr(sys, "platform", platform)
        assert Path(config_home({"XDG_CONFIG_HOME": "relative"})) == tmp_path / expected
    monkeypatch.setattr(sys, "platform", "win32")
    assert config_home({"APPDATA": "roaming"}) == os.path.join("roaming", "zoo")


def test_names_are_written_once_and_read_as_any_hand_writes_them(tmp_path):
    directory = tmp_path / "new" / "zoo"
    assert read_disabled(str(directory)) == frozenset()
    path = write_disabled(str(directory), ["zoo-vit", "zoo-swin:Swin", "zoo-vit"])
    assert path.read_text().splitlines()[1:] == ["zoo-swin:Swin", "zoo-vit"]
    path.write_text("# by hand\n\n  Zoo_Vit   # it hangs\nzoo.swin:Swin\n")
    assert read_disabled(str(directory)) == {"zoo-vit", "zoo-swin:Swin"}
    assert os.listdir(directory) == [FILE_NAME]


def test_a_write_that_fails_leaves_what_was_there(tmp_path, monkeypatch):
    path = write_disabled(str(tmp_path), ["zoo-vit"])

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(PluginError, match="No space left"):
        write_disabled(str(tmp_path), [])
    assert read_disabled(str(tmp_path)) == {"zoo-vit"}
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("content", [b"\xff\xfe", None])
def test_a_file_that_can_not_be_read_is_an_error_since_what_it_names_may_hang(tmp_path, content):
    path = tmp_path / FILE_NAME
    path.write_bytes(content) if content is not None else path.mkdir()
    with pytest.raises(PluginError, match=FILE_NAME):
        PluginSettings.of_user({"ZOO_CONFIG_HOME": str(tmp_path)})
    allowed = PluginSettings.of_user({"ZOO_CONFIG_HOME": str(tmp_path), "ZOO_PLUGINS": "zoo-swin"})
    assert allowed.reason_to_leave_out(SWIN) is None


@pytest.mark.parametrize("name", ["zoo-swin", "zoo-swin:swin"])
def test_an_allowlist_says_exactly_what_is_loaded(name):
    disabled = PluginSettings(disabled=frozenset({name}))
    assert "disabled" in str(disabled.reason_to_leave_out(SWIN))
    assert disabled.reason_to_leave_out(SWIN._replace(distribution="zoo-vit")) is None
    assert disabled._replace(allowed=frozenset({"zoo-swin"})).reason_to_leave_out(SWIN) is None


def test_what_would_end_the_process_is_not_run(run_python, fake_plugin, tmp_path):
    fake_plugin("zoo-bad", "import os\nos._exit(7)")
    assert run_python(OF_PLUGIN).returncode == 7
    # The core, which a hand may have written there, stays.
    write_disabled(str(tmp_path / "settings"), ["zoo-bad", "zoo-sdk"])
    process = run_python(OF_PLUGIN)
    assert process.returncode == 0, process.stderr
    assert '"zoo-bad:bad": [false, true]' in process.stdout
    assert '"zoo-sdk:builtin": [true, false]' in process.stdout


def test_a_name_that_a_disabled_plugin_may_have_is_explained(run_python, fake_plugin, tmp_path):
    fake_plugin("zoo-off")
    write_disabled(str(tmp_path / "settings"), ["zoo-off"])
    process = run_python("import zoo; zoo.create('unheard-of')")
    assert "zoo-off:off (disabled; `zoo plugin enable` undoes it)" in process.stderr


def test_it_costs_a_listing_one_look_for_a_file(run_python, tmp_path):
    process = run_python(
        """
        import sys
        seen = []
        sys.addaudithook(lambda event, arguments: event == "open" and seen.append((event, str(arguments[0]))))
        import zoo
        zoo.plugins()
        print([event for event, about in seen if "disabled-plugins.txt" in about])
        """
    )
    assert process.stdout.strip() == "['open']", process.stderr
