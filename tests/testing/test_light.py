"""The kit is named in every test file of a plugin, and costs nothing until a test runs."""

from __future__ import annotations

import importlib

import pytest

import zoo.testing


def test_naming_the_kit_imports_nothing_heavy(run_python):
    script = """
        import sys
        from zoo.testing import (
            ArchitectureConformance, FormatConformance, HeadConformance, PreprocessorConformance, TaskConformance,
        )
        heavy = {"torch", "numpy", "transformers", "PIL", "safetensors", "pytest"} & set(sys.modules)
        assert not heavy, heavy
    """
    finished = run_python(script)
    assert finished.returncode == 0, finished.stderr


def test_every_public_name_is_there_and_documented():
    for name in zoo.testing.__all__:
        value = getattr(zoo.testing, name)
        assert value is getattr(importlib.import_module(zoo.testing._HOME[name]), name)
        assert isinstance(value, type) is False or value.__doc__
    with pytest.raises(AttributeError, match="no attribute 'Conformance'"):
        zoo.testing.Conformance  # noqa: B018


def test_each_check_says_what_it_asks():
    for name in zoo.testing.__all__:
        if name.endswith("Conformance"):
            kit = getattr(zoo.testing, name)
            checks = [getattr(kit, each) for each in dir(kit) if each.startswith("test_")]
            assert checks and all(check.__doc__ for check in checks)
