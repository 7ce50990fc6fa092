from __future__ import annotations

import sys
import tomllib
from pathlib import Path

import pytest

from zoo.errors import ConfigError, MissingDependency, PluginError
from zoo.registry import resolve_object
from zoo.registry.resolve import EXTRAS

REPOSITORY = Path(__file__).resolve().parents[2]


def test_a_reference_leads_to_a_class_or_an_attribute_of_one():
    assert resolve_object("pathlib:Path") is Path
    assert resolve_object("pathlib:Path.exists") is Path.exists


@pytest.mark.parametrize("reference", ["pathlib", "pathlib:", ":Path", ""])
def test_what_is_no_reference_is_an_error(reference):
    with pytest.raises(PluginError, match="not of the form"):
        resolve_object(reference)


@pytest.mark.parametrize(("module", "extra"), EXTRAS.items())
def test_a_missing_dependency_names_the_extra_that_brings_it(fake_distribution, monkeypatch, module, extra):
    fake_distribution("their-swin", modules={"their_swin/model.py": f"import {module}\nclass Swin: ..."})
    monkeypatch.setitem(sys.modules, module, None)  # Python's own way of saying that it is not there
    with pytest.raises(MissingDependency, match=rf"their_swin\.model needs {module}.*\n.*extra '{extra}'"):
        resolve_object("their_swin.model:Swin")


def test_the_extras_are_those_of_the_distribution():
    extras = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for module, extra in EXTRAS.items():
        project = {"PIL": "pillow"}.get(module, module)
        assert any(each.startswith((project, f"zoo-{project}")) for each in extras[extra])


def test_any_other_missing_module_is_named_itself(fake_distribution):
    fake_distribution("their-swin", modules={"their_swin/model.py": "import no_such_library"})
    with pytest.raises(MissingDependency, match="needs no_such_library") as caught:
        resolve_object("their_swin.model:Swin")
    assert "pip" not in str(caught.value)  # nobody knows who holds the name of a module on a package index


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("their_swin.modle:Swin", "No module named 'their_swin.modle'"),
        ("zoo_swim.model:Swin", "No module named 'zoo_swim'"),
        ("their_swin.model:Swim", r"no 'Swim' \(did you mean 'Swin'\?\)"),
        ("their_swin.model:Swin.qqqq", "no 'Swin.qqqq'"),
        ("their_swin.old:Swin", "No module named 'json.no_such_part'"),
        ("their_swin.broken:Swin", "ZeroDivisionError"),
        ("their_swin.leaves:Swin", "SystemExit"),
    ],
)
def test_a_reference_that_leads_nowhere_is_the_plugins_fault(fake_distribution, reference, said):
    modules = {
        "model": "class Swin: ...",
        "old": "import json.no_such_part",
        "broken": "1 / 0",
        "leaves": "raise SystemExit",
    }
    fake_distribution("their-swin", modules={f"their_swin/{name}.py": source for name, source in modules.items()})
    with pytest.raises(PluginError, match=said) as caught:
        resolve_object(reference)
    assert reference in str(caught.value)


def test_an_error_that_says_all_is_passed_on(fake_distribution):
    fake_distribution("their-swin", modules={"their_swin.py": "from zoo.errors import *\nraise ConfigError('so')"})
    with pytest.raises(ConfigError, match="so"):
        resolve_object("their_swin:Swin")
