"""Packages from outside: their own tests run where they are installed, in an environment of theirs."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

collect_ignore_glob = ["zoo-*"]

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


@pytest.fixture(scope="session")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """An `Environment` with zoo-sdk, what the packages of this folder go with, and these packages."""
    spec = importlib.util.spec_from_file_location("external_environment", HERE / "environment.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    projects = [ROOT, *(ROOT / "plugins" / name for name in ("zoo-swin", "zoo-segmentation")), *HERE.glob("zoo-*")]
    return module.Environment(tmp_path_factory.mktemp("outside"), projects)
