"""`python -m fuzz [pickles|safetensors] [options of libFuzzer]`: of no file anything but CheckpointError comes out."""

from __future__ import annotations

import sys
import tempfile
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from fuzz.seeds import seeds

TARGETS = ("pickles", "safetensors")


def main() -> int:
    """Fuzz one target, until a fault is found or an option such as -max_total_time=60 ends it."""
    arguments = sys.argv[1:]
    target = arguments.pop(0) if arguments and arguments[0] in TARGETS else TARGETS[0]
    if find_spec("atheris") is None:
        print("Skipped: fuzzing needs atheris, which is not installed here (`pip install atheris`, on Linux).")
        return 0
    atheris = import_module("atheris")
    with atheris.instrument_imports(include=["zoo.checkpoint"]):
        from fuzz.attempt import attempt
    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder, "corpus")
        corpus.mkdir()
        for name, content in seeds(target).items():
            (corpus / name).write_bytes(content)
        path = Path(folder, "x.safetensors" if target == "safetensors" else "x.pt")
        atheris.Setup([sys.argv[0], *arguments, str(corpus)], lambda content: attempt(path, content))
        atheris.Fuzz()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
