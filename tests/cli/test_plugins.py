"""`zoo plugins`."""

from __future__ import annotations

import json

SWIN = """
@hookimpl
def zoo_architectures():
    return [ArchitectureSpec(name="swin", config="a:B", model="a:C", modality="image", default_task="t",
    preprocessor="p")]
"""


def test_each_plugin_is_a_line_with_what_it_contributes(zoo_process, fake_plugin):
    fake_plugin("zoo-swin", SWIN, version="2.5")
    process = zoo_process("plugins")
    assert process.returncode == 0 and process.stderr == ""
    lines = {line.split("\t")[0]: line.split("\t") for line in process.stdout.splitlines()}
    _, version, api, status, milliseconds, contributes = lines["zoo-swin:swin"]
    assert (version, api, status, contributes) == ("2.5", "1", "loaded", "1 architecture")
    assert milliseconds.endswith(" ms")
    assert "zoo-sdk:builtin" in lines


def test_verbose_names_everything_and_where_it_is(zoo_process, fake_plugin):
    plugin = fake_plugin("zoo-swin", SWIN)
    output = zoo_process("plugins", "--verbose").stdout
    assert "zoo-swin:swin\tarchitectures\tswin" in output
    assert "zoo-swin:swin\ttarget\tzoo_swin._plugin" in output
    assert f"zoo-swin:swin\tsource\t{plugin.parents[1]}" in output


def test_a_failed_plugin_is_told_with_the_place_and_is_no_failure_of_the_command(zoo_process, fake_plugin):
    plugin = fake_plugin("zoo-bad", "1 / 0")
    process = zoo_process("plugins")
    assert process.returncode == 0
    assert "zoo-bad:bad\t1.0\t-\tfailed" in process.stdout
    assert "zoo-bad:bad 1.0 failed:" in process.stderr
    assert "ZeroDivisionError" in process.stderr and str(plugin) in process.stderr
    assert "Traceback" not in process.stderr
    assert "Traceback" in zoo_process("plugins", "-v").stderr


def test_json(zoo_process, fake_plugin):
    fake_plugin("zoo-swin", SWIN)
    fake_plugin("zoo-bad", "1 / 0")
    listed = json.loads(zoo_process("plugins", "--json", ZOO_LOG="error").stdout)
    plugins = {each["name"]: each for each in listed["plugins"]}
    assert listed["failed"] == 1
    swin, bad = plugins["zoo-swin:swin"], plugins["zoo-bad:bad"]
    assert (swin["status"], swin["api_version"], swin["licence"], swin["failure"]) == ("loaded", 1, "MIT", None)
    assert swin["contributes"] == {"architectures": ["swin"]}
    assert bad["status"] == "failed" and "ZeroDivisionError" in bad["failure"] and "Traceback" in bad["traceback"]


def test_what_is_left_out_says_why(zoo_process, fake_plugin):
    fake_plugin("zoo-swin", SWIN)
    fake_plugin("zoo-vit", SWIN)
    listed = json.loads(zoo_process("plugins", "--json", ZOO_PLUGINS="zoo-vit").stdout)
    swin = next(each for each in listed["plugins"] if each["name"] == "zoo-swin:swin")
    assert (swin["status"], swin["left_out"]) == ("left out", "not among ZOO_PLUGINS")


def test_a_traceback_can_not_act_on_the_terminal(zoo_process, fake_plugin):
    fake_plugin("zoo-bad", "raise ValueError('\\x1b[2J')")
    process = zoo_process("plugins", "-v", ZOO_LOG="error")
    assert "ValueError" in process.stderr and "\x1b" not in process.stderr
