"""What `import zoo` and the light commands cost: every claim is checked in a fresh process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib import metadata

import pytest

import zoo
import zoo.errors

HEAVY = ("PIL", "accelerate", "numpy", "tokenizers", "torch", "transformers")

# Runs a command of zoo as the console script does; the last line of stderr is the names of what was imported.
_RUN_COMMAND = """
import json, sys
from zoo.cli import main
sys.argv = ["zoo", *sys.argv[1:]]
try:
    code = main()
except SystemExit as exit:
    code = exit.code
print(json.dumps(sorted(sys.modules)), file=sys.stderr)
sys.exit(code)
"""


def modules_after(code: str, *arguments: str) -> set[str]:
    """The top-level names that are in sys.modules after the code has run in a fresh interpreter, output piped."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("ZOO_")}
    result = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False, env=environment
    )
    assert result.returncode == 0, result.stderr
    return {name.partition(".")[0] for name in json.loads(result.stderr.splitlines()[-1])}


def test_import_zoo_is_light() -> None:
    modules = modules_after("import json, sys, zoo; print(json.dumps(sorted(sys.modules)), file=sys.stderr)")
    assert "zoo" in modules
    assert not modules & {*HEAVY, "click", "jinja2", "pluggy", "rich"}


def test_import_zoo_tools_is_light() -> None:
    modules = modules_after("import json, sys, zoo_tools; print(json.dumps(sorted(sys.modules)), file=sys.stderr)")
    assert not modules & {*HEAVY, "rich"}


@pytest.mark.parametrize(
    "arguments",
    [
        ("--help",),
        ("list",),
        ("list", "--json"),
        ("info", "llama"),
        ("info", "text-generation"),
        ("plugins",),
        ("plugins", "--json"),
    ],
    ids=" ".join,
)
def test_listing_commands_are_light(arguments: tuple[str, ...]) -> None:
    modules = modules_after(_RUN_COMMAND, *arguments)
    assert not modules & {*HEAVY, "rich"}


@pytest.mark.parametrize(
    "name",
    [
        "Config",
        "Head",
        "Model",
        "Preprocessor",
        "TaskModel",
        "architectures",
        "create",
        "load",
        "pipeline",
        "plugins",
        "register",
        "save",
        "tasks",
        *zoo.errors.__all__,
    ],
)
def test_public_names(name: str) -> None:
    assert name in zoo.__all__
    assert name in dir(zoo)
    assert callable(getattr(zoo, name))


def test_importing_a_submodule_never_hides_a_public_name() -> None:
    code = """
import importlib, json, pkgutil, sys, zoo
for module in pkgutil.walk_packages(zoo.__path__, "zoo."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
assert callable(zoo.load) and callable(zoo.save) and callable(zoo.create) and callable(zoo.pipeline)
assert "zoo-llama" in repr(zoo.plugins())
assert "llama" in repr(zoo.architectures())
assert "text-generation" in repr(zoo.tasks())
print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""
    assert "zoo_llama" in modules_after(code)


def test_every_announced_name_resolves() -> None:
    assert all(hasattr(zoo, name) for name in zoo.__all__)
    assert not hasattr(zoo, "no_such_name")


def test_the_version_is_the_distribution_s() -> None:
    assert zoo.__version__ == metadata.version("zoo-sdk")
