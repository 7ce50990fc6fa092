"""What `zoo_tools` offers, and that offering it costs nothing."""

from __future__ import annotations

import json

import pytest

import zoo_tools

NAMES = ["diff", "html_report", "inspect", "merge", "migrate", "migrate_tree", "shard", "verify"]


@pytest.mark.parametrize("name", NAMES)
def test_functions_are_there(name):
    assert callable(getattr(zoo_tools, name)) and name in zoo_tools.__all__ and name in dir(zoo_tools)


def test_every_announced_name_resolves():
    assert all(hasattr(zoo_tools, name) for name in zoo_tools.__all__)
    assert not hasattr(zoo_tools, "no_such_name")


def test_importing_a_submodule_never_hides_a_function(run_python):
    script = f"""
        import importlib, json, pkgutil, sys, zoo_tools
        for module in pkgutil.walk_packages(zoo_tools.__path__, "zoo_tools."):
            importlib.import_module(module.name)
        print(json.dumps([name for name in {NAMES!r} if not callable(getattr(zoo_tools, name))]))
        print(json.dumps([name for name in ("torch", "numpy", "rich") if name in sys.modules]))
    """
    process = run_python(script)
    assert [json.loads(line) for line in process.stdout.splitlines()] == [[], []], process.stderr


def test_importing_it_imports_nothing(run_python):
    process = run_python("import sys, zoo_tools; print([name for name in sys.modules if name.startswith('zoo')])")
    assert process.stdout.strip() == "['zoo_tools']", process.stderr
