"""`zoo list`."""

from __future__ import annotations

import json
import re

import pytest

from zoo.plugins import SPEC_TYPES

NASTY = r"""
@hookimpl
def zoo_presets():
    common = dict(architecture="llama", sources=("./x",))
    return [
        PresetSpec(name="plain", summary="Grüße 漢字 [bold]not markup[/bold] :smile:", **common),
        PresetSpec(name="nasty", summary="a\x1b[31mb\tc\nd\u202ee\x9bf", **common),
    ]
"""

SWIN = """
@hookimpl
def zoo_architectures():
    return [ArchitectureSpec(name="swin", config="a:B", model="a:C", modality="image", default_task="t",
    preprocessor="p")]
"""


def rows(process):
    assert process.returncode == 0, process.stderr
    return [line.split("\t") for line in process.stdout.splitlines()]


def test_in_a_pipe_each_thing_is_a_line_with_its_kind_first(zoo_process):
    lines = rows(zoo_process("list"))
    assert ["tasks", "text-generation"] in [line[:2] for line in lines]
    assert ["commands", "list"] in [line[:2] for line in lines]
    assert all(len(line) == 4 and line[0] in SPEC_TYPES for line in lines)


@pytest.mark.parametrize("kind", ["tasks", "task"])
def test_of_one_kind_the_name_comes_first(zoo_process, kind):
    lines = rows(zoo_process("list", kind))
    assert "text-generation" in [line[0] for line in lines]
    assert len({len(line) for line in lines}) == 1


def test_what_a_head_needs_is_in_words(zoo_process):
    needs = {line[0]: line[2] for line in rows(zoo_process("list", "heads"))}
    assert needs["causal-lm"] == "causal text tokens"
    assert needs["image-classifier"] == "image vector or image map or image tokens"


def test_an_unknown_kind_is_a_usage_error_that_names_them(zoo_process):
    process = zoo_process("list", "models")
    assert process.returncode == 2
    assert "'models'" in process.stderr and "architectures, heads" in process.stderr


def test_a_kind_of_which_there_is_nothing(zoo_process):
    process = zoo_process("list", "necks", ZOO_PLUGINS="zoo-llama")
    assert (process.returncode, process.stdout) == (0, "")
    assert "No installed plugin contributes any necks." in process.stderr


def test_json_is_one_object_with_a_list_for_each_kind(zoo_process):
    listed = json.loads(zoo_process("list", "--json").stdout)
    assert list(listed) == list(SPEC_TYPES)
    task = next(item for item in listed["tasks"] if item["name"] == "text-generation")
    assert task["full_name"] == "zoo-sdk:text-generation"
    assert task["plugin"] == "zoo-sdk:builtin"
    assert {"aliases", "version", "summary", "inputs", "outputs", "default_heads"} <= set(task)


def test_json_of_one_kind(zoo_process):
    listed = json.loads(zoo_process("list", "heads", "--json").stdout)
    assert list(listed) == ["heads"]
    assert {"name", "task", "requires"} <= set(listed["heads"][0])
    needs = {head["name"]: head["requires"] for head in listed["heads"]}
    assert [need["kind"] for need in needs["image-classifier"]] == ["vector", "map", "tokens"]


def test_a_name_that_two_plugins_claim_is_shown_with_its_distribution(zoo_process, fake_plugin):
    fake_plugin("zoo-swin", SWIN)
    assert "swin" in [line[0] for line in rows(zoo_process("list", "architectures"))]
    fake_plugin("zoo-other", SWIN)
    names = [line[0] for line in rows(zoo_process("list", "architectures"))]
    assert {"zoo-swin:swin", "zoo-other:swin"} <= set(names) and "swin" not in names


@pytest.mark.parametrize(
    "arguments", [["list"], ["list", "presets"], ["list", "--json"], ["info", "nasty"], ["info", "nasty", "--json"]]
)
def test_what_plugins_say_can_not_act_on_a_terminal(zoo_process, fake_plugin, arguments):
    fake_plugin("zoo-nasty", NASTY)
    output = zoo_process(*arguments).stdout
    assert not {"\x1b", "\x9b", "\u202e"} & set(output)
    assert "[31m" in output  # the text of it is shown


def test_json_gives_back_exactly_what_plugins_say(zoo_process, fake_plugin):
    fake_plugin("zoo-nasty", NASTY)
    output = zoo_process("list", "presets", "--json").stdout
    summaries = {item["name"]: item["summary"] for item in json.loads(output)["presets"]}
    assert summaries["nasty"] == "a\x1b[31mb\tc\nd\u202ee\x9bf"
    assert "Grüße 漢字" in output  # not as escapes


def test_a_line_stays_one_line_with_all_its_columns(zoo_process, fake_plugin):
    fake_plugin("zoo-nasty", NASTY)
    lines = rows(zoo_process("list", "presets"))
    assert {len(line) for line in lines} == {7}


def test_on_a_terminal_there_are_titles_and_columns(terminal, fake_plugin):
    fake_plugin("zoo-nasty", NASTY)
    screen = terminal("list", COLUMNS="200")
    assert screen.exit_code() == 0
    assert "\x1b[1mPresets\x1b[0m" in screen.screen
    assert "Grüße 漢字 [bold]not markup[/bold] :smile:" in screen.screen
    assert "a\\x1b[31mb\\tc\\nd\\u202ee\\x9bf" in screen.screen


@pytest.mark.parametrize("variables", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_no_colours_where_none_are_wanted(terminal, variables):
    screen = terminal("list", **variables)
    assert screen.exit_code() == 0
    assert "Tasks" in screen.screen
    assert "\x1b[3" not in screen.screen and "\x1b[9" not in screen.screen


def test_a_narrow_terminal_loses_nothing(terminal, fake_plugin):
    fake_plugin("zoo-nasty", NASTY)
    screen = terminal("list", "presets", COLUMNS="40", NO_COLOR="1")
    assert screen.exit_code() == 0
    plain = re.sub(r"\x1b\[\d*m", "", screen.screen)
    assert all(len(line) <= 40 for line in plain.splitlines())
    letters = "".join(plain.split())
    assert all(part in letters for part in ("plain", "nasty", "smile"))
