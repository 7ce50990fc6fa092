from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from zoo.spec import API_VERSION
from zoo_gguf import _plugin


def test_it_keeps_to_this_version_of_the_contract() -> None:
    assert _plugin.zoo_manifest().api_version == API_VERSION


def test_the_format_opens_files_by_their_magic(write_gguf, float_tensor) -> None:
    from zoo.registry import resolve_object

    (spec,) = _plugin.zoo_formats()
    path = write_gguf(tensors={"weight": float_tensor})
    assert path.read_bytes().startswith(spec.magics)
    checkpoint = resolve_object(spec.open)(path)
    assert checkpoint.format == spec.name
    assert checkpoint["weight"].shape == (2, 256)


@pytest.mark.parametrize("module", ["zoo_gguf._plugin", "zoo_gguf.reader"])
def test_opening_a_file_imports_nothing_heavy(module: str, write_gguf, float_tensor) -> None:
    path = write_gguf({"tokenizer.ggml.model": "gpt2", "a.list": ["x", "y"]}, {"weight": float_tensor})
    script = f"""
import importlib, pathlib, sys
module = importlib.import_module({module!r})
if hasattr(module, "open_file"):
    checkpoint = module.open_file(pathlib.Path({str(path)!r}))
    assert checkpoint["weight"].shape == (2, 256)
    assert checkpoint.metadata["a.list"] == ("x", "y")
print(sorted({{"numpy", "torch", "gguf", "transformers", "tokenizers"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_package_ships_its_types() -> None:
    assert Path(_plugin.__file__).with_name("py.typed").is_file()
