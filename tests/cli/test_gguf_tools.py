"""Quantised checkpoints: compared by the numbers that they decode to."""

from __future__ import annotations

import json

import gguf
import numpy
import pytest
from safetensors.numpy import save_file


@pytest.fixture
def quantised(tmp_path):
    """A GGUF whose one matrix is in blocks of 8 bits, the numbers that it holds, and those that it was made from."""
    original = numpy.random.default_rng(0).standard_normal((64, 96), "float32")
    blocks = gguf.quants.quantize(original, gguf.GGMLQuantizationType.Q8_0)
    writer = gguf.GGUFWriter(tmp_path / "model.gguf", "llama")
    writer.add_tensor("w", blocks, raw_dtype=gguf.GGMLQuantizationType.Q8_0)
    writer.add_tensor("norm", numpy.ones(96, "float32"))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    decoded = gguf.quants.dequantize(blocks, gguf.GGMLQuantizationType.Q8_0)
    save_file({"w": decoded, "norm": numpy.ones(96, "float32")}, tmp_path / "decoded.safetensors")
    save_file({"w": original, "norm": numpy.ones(96, "float32")}, tmp_path / "original.safetensors")
    return str(tmp_path / "model.gguf"), str(tmp_path / "decoded.safetensors"), str(tmp_path / "original.safetensors")


def test_inspect_says_the_encoding_and_what_it_takes(zoo_here, quantised):
    lines = zoo_here("inspect", quantised[0]).stdout.splitlines()
    assert "tensor\tw\tQ8_0\t[64, 96]\t6528\tmodel.gguf\t-" in lines
    assert "dtype\tQ8_0\t1\t6144\t6528" in lines and "parameters\t6240" in lines


def test_what_is_decoded_is_the_same(zoo_here, quantised):
    model, decoded, original = quantised
    assert zoo_here("verify", model, decoded).exit_code == 0
    assert zoo_here("verify", model, original).exit_code == 1


def test_migrate_decodes_and_says_so(zoo_here, quantised, tmp_path):
    finished = zoo_here("migrate", quantised[0], str(tmp_path / "out.safetensors"))
    assert finished.exit_code == 0 and "1 tensor Q8_0 -> F32" in finished.stdout
    assert zoo_here("verify", str(tmp_path / "out.safetensors"), quantised[1]).exit_code == 0


def test_how_much_was_lost(zoo_here, quantised):
    model, decoded, original = quantised
    (change,) = json.loads(zoo_here("diff", original, model, "--stats", "--json").stdout)["changes"]
    assert 0 < change["statistics"]["max_absolute"] < 0.02
    assert json.loads(zoo_here("diff", decoded, model, "--stats", "--json").stdout)["same"]
