from __future__ import annotations

import pytest

from zoo.errors import AmbiguousName, PluginError
from zoo.plugins import SPEC_TYPES, Entry
from zoo.registry import Registry
from zoo.registry.catalogs import preferences
from zoo.registry.names import NOUNS
from zoo.spec import ArchitectureSpec, CommandSpec


def architecture(distribution, name, *model_types, fallback=False):
    spec = ArchitectureSpec(
        name=name, config="a:B", model="a:C", modality="text", default_task="t", preprocessor="p",
        model_types=model_types, fallback=fallback,
    )  # fmt: skip
    return Entry(spec, distribution, "1.0", f"{distribution}:p")


def command(name, *aliases, summary=""):
    return CommandSpec(name=name, aliases=aliases, command="a:b", summary=summary)


def test_there_is_a_catalog_for_every_kind():
    for kind in SPEC_TYPES:
        assert getattr(Registry(), kind).kind == kind
        assert NOUNS[kind]


def test_a_model_type_means_the_architecture_that_claims_it():
    llama, swin = architecture("zoo-llama", "llama", "llama", "smollm"), architecture("zoo-swin", "swin", "swin")
    registry = Registry({"architectures": [llama, swin]})
    assert registry.architecture_for_model_type("smollm") is llama
    assert registry.architecture_for_model_type("bert") is None


def test_a_model_type_claimed_twice_is_ambiguous_unless_one_is_a_fallback_or_preferred():
    native, other = architecture("zoo-llama", "llama", "llama"), architecture("other", "llama-2", "llama")
    bridge = architecture("zoo-transformers", "auto", "llama", fallback=True)
    for entries in ([native, other, bridge], [bridge, other, native]):
        with pytest.raises(AmbiguousName, match=r"model_type 'llama' is claimed by zoo-llama 1\.0.* and other 1\.0"):
            Registry({"architectures": entries}).architecture_for_model_type("llama")
        preferring = Registry({"architectures": entries}, prefer={"llama": "Zoo_Llama"})
        assert preferring.architecture_for_model_type("llama") is native
    assert Registry({"architectures": [bridge, native]}).architecture_for_model_type("llama") is native
    assert Registry({"architectures": [bridge]}).architecture_for_model_type("llama") is bridge


def test_what_is_registered_is_found_by_every_name():
    registry = Registry()
    registry.register(command("mine", "own"))
    for name in ("mine", "own", "(this process):mine"):
        assert registry.commands.get(name).full_name == "(this process):mine"


def test_what_is_registered_can_make_a_plugins_name_ambiguous_but_not_take_it():
    entry = Entry(command("list"), "zoo-sdk", "1.0", "zoo-sdk:builtin")
    registry = Registry({"commands": [entry]})
    registry.register(command("mine", "list"))
    with pytest.raises(AmbiguousName, match=r"\(this process\).*zoo-sdk 1.0|zoo-sdk 1.0.*\(this process\)"):
        registry.commands.get("list")
    assert registry.commands.get("zoo-sdk:list") is entry


def test_registering_the_same_again_changes_nothing():
    registry = Registry()
    registry.register(command("mine"))
    before = registry.commands.entries()
    registry.register(command("mine"))
    assert registry.commands.entries() == before


def test_registering_another_spec_under_the_name_must_be_asked_for():
    registry = Registry()
    registry.register(command("mine", "own"))
    for other in (command("mine", summary="new"), command("own"), command("other", "mine")):
        with pytest.raises(PluginError, match="already registered another command 'mine'") as caught:
            registry.register(other)
        assert "replace=True" in str(caught.value)
    assert registry.commands.get("mine").spec == command("mine", "own")
    registry.register(command("own", summary="new"), replace=True)
    assert registry.commands.get("own").spec.summary == "new"
    assert registry.commands.find("mine") is None


@pytest.mark.parametrize("value", [object(), "mine", CommandSpec])
def test_what_is_no_spec_can_not_be_registered(value):
    with pytest.raises(PluginError, match="expected one of ArchitectureSpec"):
        Registry().register(value)


def test_preferences_are_read_from_text():
    assert preferences(" swin = zoo-swin , vit=other,, ") == {"swin": "zoo-swin", "vit": "other"}
    assert preferences("") == {}


@pytest.mark.parametrize("text", ["swin", "swin=", "=zoo-swin", "swin=a,swin=b"])
def test_odd_preferences_are_an_error(text):
    with pytest.raises(PluginError, match="ZOO_PREFER"):
        preferences(text)
