"""Plugins that keep every promise, and the same with one line changed."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from zoo.plugins.manager import plugin_manager
from zoo.registry import registry

PACKAGES = Path(__file__).parent / "packages"

Change = tuple[str, str, str]
"""A file of the package, what stands there once, and what is put in its place."""


@pytest.fixture
def install(fake_distribution, site, monkeypatch) -> Callable[..., None]:
    """Install one of the packages beside this file, with changes; the registry is built anew."""

    def install(package: str, *changes: Change) -> None:
        modules = {f"{package}/{path.name}": path.read_text() for path in (PACKAGES / package).glob("*.py")}
        for file, old, new in changes:
            path = f"{package}/{file}"
            assert modules[path].count(old) == 1, f"{old!r} stands {modules[path].count(old)} times in {path}"
            modules[path] = modules[path].replace(old, new)
        distribution = package.replace("_", "-")
        fake_distribution(distribution, modules=modules, entry_points={package.partition("_")[2]: f"{package}._plugin"})
        for once in (plugin_manager, registry):
            monkeypatch.setattr(once, "_value", None)

    return install


@pytest.fixture
def outcomes(tmp_path) -> Callable[..., Mapping[str, str]]:
    """Run the checks of a conformance class: name -> what it said, for those that failed.

    left_out: names of checks that are not run.
    """
    directories = itertools.count()

    def outcomes(conformance: type, *, left_out: frozenset[str] = frozenset()) -> Mapping[str, str]:
        failed = {}
        for name, method in inspect.getmembers(conformance(), inspect.ismethod):
            if not name.startswith("test_") or name in left_out:
                continue
            directory = tmp_path / f"check{next(directories)}"
            directory.mkdir()
            given = {"tmp_path": directory} if "tmp_path" in inspect.signature(method).parameters else {}
            try:
                method(**given)
            except pytest.skip.Exception as skipped:
                assert "is not declared" in str(skipped)
            except Exception as error:
                failed[name] = f"{type(error).__name__}: {error}"
        return failed

    return outcomes
