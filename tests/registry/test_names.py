from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from zoo.errors import NameNotFound
from zoo.plugins import Entry, PluginInfo
from zoo.registry import Registry
from zoo.registry.names import _FIRST_PARTY
from zoo.spec import CommandSpec, PresetSpec

REPOSITORY = Path(__file__).resolve().parents[2]


def entries(*names):
    return [Entry(CommandSpec(name=name, command="a:b"), "zoo-sdk", "1.0", "zoo-sdk:builtin") for name in names]


def plugin(name, **more):
    return PluginInfo(name, name.partition(":")[0], "0.3", "module", "place", **more)


def message(name, kind="commands", **registry):
    with pytest.raises(NameNotFound) as caught:
        getattr(Registry(**registry), kind).get(name)
    return str(caught.value)


@pytest.mark.parametrize("name", ["inof", "Info", "INFO", "zoo-sdk:inf"])
def test_a_near_match_is_suggested(name):
    assert message(name, entries={"commands": entries("info", "migrate")}) == (
        f"There is no command {name!r}.\nDid you mean 'info'?"
    )


def test_the_beginning_of_a_long_name_suggests_it():
    spec = PresetSpec(name="smollm2-135m-instruct", architecture="llama", sources=("x",))
    text = message("smollm2", "presets", entries={"presets": [Entry(spec, "zoo-llama", "1.0", "zoo-llama:llama")]})
    assert "Did you mean 'smollm2-135m-instruct'?" in text


def test_without_a_near_match_a_few_names_are_listed_and_many_are_not():
    few = message("qqqq", entries={"commands": entries("list", "info")})
    assert few.endswith("Known: info, list.")
    many = message("qqqq", entries={"commands": entries(*(f"command-{i}" for i in range(50)))})
    assert many == "There is no command 'qqqq'."
    assert message("qqqq") == "There is no command 'qqqq'.\nNo installed plugin contributes any command."


def test_a_name_of_another_kind_is_recognised():
    assert "'info' is the name of a command." in message("info", "heads", entries={"commands": entries("info")})


def test_plugins_that_failed_or_were_left_out_are_named():
    plugins = [
        plugin("zoo-bad:bad", failure="importing it raised X.\nMore."),
        plugin("zoo-vit:vit", left_out="not among ZOO_PLUGINS"),
        plugin("zoo-good:good"),
    ]
    text = message("swin", "architectures", plugins=plugins)
    assert "failed to load, and may contribute it" in text
    assert "  zoo-bad:bad 0.3: importing it raised X.\n" in text
    assert "not loaded: zoo-vit:vit (not among ZOO_PLUGINS)." in text
    assert "zoo-good" not in text
    assert "More." not in text


@pytest.mark.parametrize("name", ["llama", "lama", "Llama", "zoo-llama:llama"])
def test_the_line_that_installs_a_first_party_plugin_is_given(name):
    assert "pip install -e plugins/zoo-llama" in message(name, "architectures")


def test_an_installed_plugin_is_not_suggested_to_be_installed():
    assert "pip" not in message("llama", "architectures", plugins=[plugin("zoo-llama:llama")])
    assert "pip" not in message("bert", "architectures")
    assert "pip" not in message("llama", "commands")


def test_only_published_extras_are_suggested():
    extras = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for owners in _FIRST_PARTY.values():
        for owner in owners.values():
            assert owner.distribution in extras[owner.extra]
