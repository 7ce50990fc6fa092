from __future__ import annotations

import subprocess
import sys

import pytest

import zoo.checkpoint


def test_every_public_name_is_there() -> None:
    for name in zoo.checkpoint.__all__:
        assert getattr(zoo.checkpoint, name).__doc__ or name.isupper() or name == "TensorSource"
    assert dir(zoo.checkpoint) == sorted(zoo.checkpoint.__all__)
    with pytest.raises(AttributeError, match="no attribute 'absent'"):
        zoo.checkpoint.absent  # noqa: B018


PROBE = """
import sys
sys.path[:0] = {path!r}
import zoo.checkpoint
assert "zoo.checkpoint.records" not in sys.modules
from zoo.checkpoint import DirectoryTransaction, open_checkpoint
print(*sorted({{"torch", "numpy", "safetensors", "transformers"}} & sys.modules.keys()))
"""


def test_nothing_heavy_is_imported() -> None:
    """Names come when they are used, and neither reading nor writing needs torch, numpy or the reference library."""
    code = PROBE.format(path=sys.path)
    result = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == ""
