from __future__ import annotations

import sys

import pytest

from zoo.errors import PluginError
from zoo.plugins import PluginManager
from zoo.plugins.discovery import Distributions
from zoo.plugins.settings import PluginSettings


def head(name, aliases="", fallback=False):
    """The source of a HeadSpec."""
    return (
        f"HeadSpec(name={name!r}, aliases={tuple(aliases)!r}, fallback={fallback}, task='t', head='a:B', config='a:C', "
        "requires=FeatureRequirement(kind='tokens'))"
    )


GOOD = f"""
@hookimpl
def zoo_heads():
    return [{head("good")}]
"""


@pytest.fixture
def load(site):
    def load(**settings):
        return PluginManager(Distributions([str(site)]).entry_points("zoo.plugins"), PluginSettings(**settings))

    return load


@pytest.fixture
def failure(fake_plugin, load):
    """The PluginInfo of a plugin with these hooks, having made sure that it did no harm to two good ones."""

    def failure(hooks="", **options):
        fake_plugin("zoo-a-good", GOOD)
        fake_plugin("zoo-bad", hooks, **options)
        fake_plugin("zoo-good", GOOD)
        manager = load()
        before, info, after = manager.plugins
        assert before.loaded
        assert after.loaded
        assert not info.loaded
        assert [entry.distribution for entry in manager.entries["heads"]] == ["zoo-a-good", "zoo-good"]
        assert sum(map(len, manager.entries.values())) == 2
        assert info.manifest is None
        assert not info.contributes
        assert "Traceback" in info.traceback
        return info

    return failure


def test_a_plugin_is_described_by_what_it_contributes(fake_plugin, load):
    fake_plugin(
        "their-swin",
        f"""
        @hookimpl
        def zoo_heads():
            yield {head("b")}
            yield {head("a", fallback=True)}

        @hookimpl
        def zoo_commands():
            return ()

        @hookimpl(specname="zoo_heads")
        def more_heads():
            return {{{head("c")}}}
        """,
        version="0.3",
    )
    manager = load()
    (info,) = manager.plugins
    assert (info.name, info.distribution, info.version, info.target) == (
        "their-swin:swin", "their-swin", "0.3", "their_swin._plugin")  # fmt: skip
    assert info.loaded
    assert info.failure is None
    assert info.traceback is None
    assert info.load_seconds > 0
    assert info.manifest.licence == "MIT"
    assert sorted(info.contributes["heads"]) == ["a", "b", "c"]
    assert list(info.contributes) == ["heads"]
    assert dict(info.fallbacks) == {"heads": ("a",)}
    assert {entry.full_name for entry in manager.entries["heads"]} == {f"their-swin:{name}" for name in "abc"}
    assert {(entry.version, entry.plugin) for entry in manager.entries["heads"]} == {("0.3", "their-swin:swin")}


def test_two_plugins_with_one_entry_point_name_are_both_there(fake_distribution, fake_plugin, load):
    fake_plugin("first-swin", GOOD)
    fake_plugin("second-swin", GOOD)
    assert [info.name for info in load().plugins if info.loaded] == ["first-swin:swin", "second-swin:swin"]


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("import no_such_library", "raised ModuleNotFoundError: No module named 'no_such_library'"),
        ("import no_such_library", "listing plugins should not import no_such_library"),
        ("from zoo.spec import RocketSpec", "may be written for another version of zoo-sdk"),
        ("from zoo_bad import missing", "raised ImportError"),
        ("import zoo_bad.missing", "install zoo-bad again"),
        ("raise SystemExit(3)", "raised SystemExit: 3"),
        ("raise RuntimeError('boom')", "raised RuntimeError: boom"),
        ("raise RecursionError", "raised RecursionError"),
    ],
)
def test_a_plugin_that_fails_to_import_says_what_where_and_what_to_do(failure, source, said):
    info = failure(source)
    assert said in info.failure
    assert "zoo_bad/_plugin.py:8." in info.failure.replace("\\", "/")
    assert source.rpartition(" ")[2].partition("(")[0] in info.traceback


def test_a_syntax_error_is_placed(failure):
    assert "zoo_bad/_plugin.py:9" in failure("\ndef (:").failure.replace("\\", "/")


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("no_such_package._plugin", "No module named 'no_such_package'"),
        ("zoo_bad._plugin:nothing", "has no attribute 'nothing'"),
        ("zoo_bad._plugin:NONE", "which is None"),
        ("", "does not say which module"),
        ("zoo_good._plugin", "no function of this name"),
    ],
)
def test_an_entry_point_that_leads_nowhere_is_a_failure(fake_distribution, fake_plugin, load, target, said):
    modules = {"zoo_bad/_plugin.py": "NONE = None", "zoo_good/_plugin.py": ""}
    info = fake_distribution("zoo-bad", modules=modules, entry_points={"bad": target})
    fake_plugin("zoo-other", GOOD)
    bad, other = load().plugins
    assert said in bad.failure
    assert other.loaded
    assert bad.source == str(info)


def test_one_module_in_two_distributions_is_one_plugin_and_one_failure(fake_distribution, fake_plugin, load):
    fake_plugin("their-swin", GOOD)
    fake_distribution("their-swin-fork", entry_points={"swin": "their_swin._plugin"})
    swin, fork = load().plugins
    assert swin.loaded
    assert "is the plugin their-swin:swin already" in fork.failure
    assert "uninstall one of them" in fork.failure


def test_one_entry_point_name_twice_in_one_distribution_is_a_failure(fake_plugin, fake_distribution, load):
    fake_plugin("their-swin", GOOD)
    info = fake_distribution("zoo-vit", entry_points={})
    (info / "entry_points.txt").write_text("[zoo.plugins]\nvit = their_swin._plugin\nvit = zoo_vit\n")
    assert "declared twice" in load().plugins[2].failure


def test_a_newer_contract_asks_for_a_newer_sdk_before_anything_in_it_can_puzzle(failure):
    hooks = """
    @hookimpl
    def zoo_heads(of_the_future):
        return 1

    @hookimpl
    def zoo_rockets():
        return []
    """
    text = failure(hooks, api_version=2).failure
    assert "version 2 of the plugin contract; this zoo-sdk knows 1." in text
    assert text.endswith("Install a newer zoo-sdk, from where this one came.")


def test_an_older_contract_asks_for_a_newer_plugin(failure):
    text = failure(api_version=0).failure
    assert "version 0" in text
    assert text.endswith("Install a newer zoo-bad, from where this one came.")


@pytest.mark.parametrize(
    ("manifest", "said"),
    [
        ("", "no function of this name is marked"),
        ("def zoo_manifest(): return Manifest(api_version=1, licence='')", "no function of this name is marked"),
        ("@hookimpl\ndef zoo_manifest(): pass", "returned None; a zoo.spec.Manifest was expected"),
        ("@hookimpl\ndef zoo_manifest(): return [Manifest(api_version=1, licence='')]", "returned a list"),
        ("@hookimpl\ndef zoo_manifest(): return Manifest(api_version='1', licence='')", "'1' is not a whole number"),
        ("@hookimpl\ndef zoo_manifest(): return Manifest(api_version=True, licence='')", "True is not a whole number"),
        ("@hookimpl\ndef zoo_manifest(): 1 / 0", "raised ZeroDivisionError"),
    ],
)
def test_a_plugin_without_a_proper_manifest_is_a_failure(failure, manifest, said):
    assert said in failure(manifest + "\n" + GOOD, manifest=False).failure


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("1 / 0", "its hook zoo_heads raised ZeroDivisionError: division by zero"),
        ("raise SystemExit", "its hook zoo_heads raised SystemExit"),
        ("yield 1 / 0", "its hook zoo_heads raised ZeroDivisionError"),
        ("return [HeadSpec(name='BAD', task='', head='', config='', requires=None)]", "name 'BAD' must match"),
        ("pass", "returned None; a list of HeadSpecs was expected"),
        (f"return {head('x')}", "returned HeadSpec 'x'; a list of HeadSpecs was expected"),
        ("return 'heads'", "returned a str; a list of HeadSpecs was expected"),
        ("return {'x': 1}", "returned a dict; a list"),
        ("return ['x']", "returned a str; HeadSpecs were expected"),
        ("return [CommandSpec(name='x', command='a:b')]", "CommandSpec 'x' (which belongs in zoo_commands)"),
        (f"return [{head('x')}] * 2", "two specs that go by 'x': 'x' and 'x'"),
        (f"return [{head('x')}, {head('y', aliases='x')}]", "two specs that go by 'x': 'x' and 'y'"),
    ],
)
def test_a_hook_that_breaks_the_contract_takes_its_whole_plugin_out(failure, body, said):
    commands = "\n@hookimpl\ndef zoo_commands():\n    return [CommandSpec(name='x', command='a:b')]\n"
    text = failure(f"{commands}\n@hookimpl\ndef zoo_heads():\n    {body}\n").failure
    assert said in text
    assert "zoo_bad/_plugin.py:1" in text.replace("\\", "/")


@pytest.mark.parametrize(
    ("hook", "said"),
    [
        ("@hookimpl\ndef zoo_headz():\n    return []", "no such hook; did you mean zoo_heads?"),
        ("@hookimpl\ndef unlike_any():\n    return []", "no such hook; the hooks are zoo_manifest, zoo_architectures"),
        ("@hookimpl\ndef zoo_heads(argument):\n    return []", "raised PluginValidationError"),
        ("@hookimpl(wrapper=True)\ndef zoo_heads():\n    return (yield)", "is a wrapper"),
    ],
)
def test_a_hook_that_zoo_does_not_have_is_a_failure(failure, hook, said):
    assert said in failure(hook).failure


def test_a_hook_of_another_version_can_be_optional(fake_plugin, load):
    fake_plugin("their-swin", GOOD + "\n@hookimpl(optionalhook=True)\ndef zoo_rockets():\n    return [1]\n")
    assert load().plugins[0].loaded


def test_ctrl_c_is_not_a_failure_of_the_plugin(fake_plugin, load):
    fake_plugin("their-swin", "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        load()


def test_a_failed_import_can_be_tried_again(fake_plugin, load):
    file = fake_plugin("their-swin", "raise RuntimeError")
    assert not load().plugins[0].loaded
    file.write_text(file.read_text().replace("raise RuntimeError", "x = 1"))
    sys.modules.pop("their_swin._plugin", None)
    assert load().plugins[0].loaded


def test_strict_mode_raises_naming_every_failure(fake_plugin, load):
    fake_plugin("zoo-bad", "1 / 0")
    fake_plugin("zoo-good", GOOD)
    fake_plugin("zoo-worse", "raise SystemExit")
    with pytest.raises(
        PluginError, match=r"(?s)zoo-bad:bad 1\.0 failed.*ZeroDivisionError.*zoo-worse:worse.*SystemExit"
    ):
        load(strict=True)


def test_what_is_left_out_is_not_imported(fake_plugin, load):
    fake_plugin("zoo-bad", "raise KeyboardInterrupt")
    fake_plugin("zoo-good", GOOD)
    for settings, reason in (
        ({"allowed": frozenset({"zoo-good"})}, "not among ZOO_PLUGINS"),
        ({"allowed": frozenset({"zoo-good:good"})}, "not among ZOO_PLUGINS"),
    ):
        bad, good = load(**settings).plugins
        assert (bad.left_out, bad.loaded, good.loaded) == (reason, False, True)


def test_a_plugin_that_failed_leaves_no_trace_that_could_mislead(fake_plugin, fake_distribution, load):
    fake_plugin("zoo-bad", GOOD + "\n@hookimpl\ndef zoo_tasks():\n    1 / 0\n")
    fake_distribution("zoo-bad-fork", entry_points={"bad": "zoo_bad._plugin"})
    first, second = load().plugins
    assert "ZeroDivisionError" in first.failure
    assert "ZeroDivisionError" in second.failure
