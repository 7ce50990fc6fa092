"""The plugins of a whole process: these tests start fresh ones, as a user does."""

from __future__ import annotations

import json

import pytest

SWIN = """
@hookimpl
def zoo_architectures():
    return [
        ArchitectureSpec(
            name="swin", config="a:B", model="a:C", modality="image", default_task="t", preprocessor="p"
        )
    ]
"""

LIST = """
import json, sys, zoo
print(json.dumps([[info.name, info.loaded, info.left_out] for info in zoo.plugins()]))
"""


def listed(process):
    assert process.returncode == 0, process.stderr
    return json.loads(process.stdout)


def test_the_built_in_plugin_comes_first_and_installed_ones_follow(run_python, fake_plugin):
    fake_plugin("zoo-swin", SWIN)
    plugins = listed(run_python(LIST))
    assert plugins[0] == ["zoo-sdk:builtin", True, None]
    assert ["zoo-swin:swin", True, None] in plugins


def test_listing_imports_nothing_heavy(run_python, fake_plugin):
    fake_plugin("zoo-swin", SWIN)
    fake_plugin("zoo-bad", "import no_such_module")
    heavy = [
        "torch",
        "numpy",
        "transformers",
        "rich",
        "email",
        "importlib.metadata",
        "logging",
        "difflib",
        "json",
        "zoo_swin.model",
    ]
    script = f"import sys, zoo\nzoo.architectures()\nprint([each for each in {heavy} if each in sys.modules])"
    process = run_python(script, ZOO_LOG="error")
    assert process.stdout == "[]\n", process.stderr


def test_a_broken_plugin_is_told_and_nothing_else_breaks(run_python, fake_plugin):
    fake_plugin("zoo-swin", SWIN)
    fake_plugin("zoo-bad", "raise SystemExit('over')")
    process = run_python("import zoo; print([entry.full_name for entry in zoo.architectures()])")
    assert "zoo-swin:swin" in process.stdout
    assert "zoo: WARNING: The plugin zoo-bad:bad 1.0 is not used" in process.stderr
    assert "over" in process.stderr


def test_strict_mode_makes_a_broken_plugin_an_error(run_python, fake_plugin):
    fake_plugin("zoo-bad", "raise SystemExit('over')")
    process = run_python(LIST, ZOO_STRICT="1")
    assert process.returncode == 1
    assert "zoo.errors.PluginError: The plugin zoo-bad:bad 1.0 failed" in process.stderr


def test_the_allowlist_keeps_the_built_ins(run_python, fake_plugin):
    fake_plugin("zoo-swin", SWIN)
    fake_plugin("zoo-vit", SWIN)
    plugins = {name: (loaded, why) for name, loaded, why in listed(run_python(LIST, ZOO_PLUGINS="Zoo_Swin"))}
    assert plugins["zoo-sdk:builtin"] == plugins["zoo-swin:swin"] == (True, None)
    assert plugins["zoo-vit:vit"] == (False, "not among ZOO_PLUGINS")


def test_allowing_a_plugin_that_is_not_installed_is_an_error(run_python):
    process = run_python(LIST, ZOO_PLUGINS="zoo-swim")
    assert process.returncode == 1
    assert "ZOO_PLUGINS names 'zoo-swim'" in process.stderr


def test_an_sdk_that_declares_its_built_ins_does_not_have_them_twice(run_python, fake_distribution):
    fake_distribution("zoo-sdk", entry_points={"builtin": "zoo.builtin"})
    assert [name for name, *_ in listed(run_python(LIST))].count("zoo-sdk:builtin") == 1


def test_the_plugins_can_be_listed_whether_or_not_the_package_was_imported(run_python):
    process = run_python("import zoo, zoo.plugins\nassert zoo.plugins() == zoo.plugins.plugins()")
    assert process.returncode == 0, process.stderr


@pytest.mark.parametrize("place", ["", "@hookimpl\ndef zoo_heads():\n    "])
def test_a_plugin_that_asks_for_the_registry_fails_instead_of_hanging(run_python, fake_plugin, place):
    fake_plugin("zoo-bad", f"from zoo.registry import registry\n{place}registry()")
    process = run_python("import zoo\nprint([info.failure for info in zoo.plugins() if info.failure])\nzoo.tasks()")
    assert "were asked for while they were being loaded" in process.stdout
    assert process.returncode == 0


def test_threads_that_start_together_share_one_registry(run_python, fake_plugin):
    fake_plugin("zoo-swin", SWIN + "\nprint('imported')")
    script = """
    import threading
    from zoo.registry import registry
    start, found = threading.Barrier(8), []
    def work():
        start.wait()
        found.append(registry())
    threads = [threading.Thread(target=work) for _ in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    print(len(found), len(set(map(id, found))), found[0].architectures.get("swin").full_name)
    """
    process = run_python(script)
    assert process.stdout == "8 1 zoo-swin:swin\n" and process.stderr.count("imported") == 1
