"""The fuzzers start from right files, and say so where they can't run."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

TAKEN = """
import sys
from pathlib import Path
from fuzz.attempt import attempt
from fuzz.seeds import seeds
for name, content in seeds(sys.argv[1]).items():
    print(name, attempt(Path(sys.argv[2]), content))
"""


@pytest.mark.parametrize(
    ("target", "suffix", "expected"),
    [
        ("pickles", ".pt", ["zip", "script", "legacy", "array", "tar", "integers"]),
        ("safetensors", ".safetensors", ["two"]),
    ],
)
def test_seeds_are_right(tmp_path: Path, target: str, suffix: str, expected: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", TAKEN, target, str(tmp_path / f"x{suffix}")],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    taken = dict(line.split() for line in done.stdout.splitlines())
    assert list(taken) == expected
    assert all(int(count) > 0 for count in taken.values()), taken


@pytest.mark.skipif(find_spec("atheris") is not None, reason="atheris is installed")
def test_without_atheris_fuzzing_is_skipped() -> None:
    done = subprocess.run([sys.executable, "-m", "fuzz"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "Skipped" in done.stdout
