"""What `inspect` says of a checkpoint, made from its headers alone."""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from zoo.checkpoint import Checkpoint, DType, StoredBytes, TensorRecord
from zoo.checkpoint.records import CodeReport, GlobalUse, Selection, StridedBytes
from zoo.errors import CheckpointError, InvalidInput, UnknownFormat
from zoo_tools import inspect
from zoo_tools.inspection import inspect_checkpoint


def stored(name, offset, elements, dtype=DType.F32, path=Path("a.bin")):
    nbytes = dtype.nbytes(elements)
    return TensorRecord(name, dtype, (elements,), StoredBytes(path, offset, nbytes))


@pytest.fixture
def checkpoint(tmp_path):
    """A checkpoint of these records, in files that exist."""

    def make(*records, **options):
        path = tmp_path / "a.bin"
        path.write_bytes(bytes(4096))
        moved = {
            record.name: TensorRecord(record.name, record.dtype, record.shape, _at(record.data, path))
            for record in records
        }
        return Checkpoint(format="torch", location=path, files=(path,), records=moved, **options)

    return make


def _at(data, path):
    if isinstance(data, StridedBytes):
        return StridedBytes(path, data.offset, data.nbytes, data.itemsize, data.shape, data.strides)
    return StoredBytes(path, data.offset, data.nbytes)


def test_what_a_file_holds(tmp_path):
    path = tmp_path / "model.safetensors"
    tensors = {"a.weight": torch.zeros(3, 4), "a.bias": torch.zeros(3, dtype=torch.bfloat16), "n": torch.tensor(7)}
    save_file(tensors, path, metadata={"format": "pt"})
    report = inspect(path)
    assert (report.format, report.parameters, report.tensor_bytes) == ("safetensors", 16, 48 + 6 + 8)
    assert {tensor.name: (tensor.dtype, tensor.shape, tensor.nbytes) for tensor in report.tensors} == {
        "a.weight": ("F32", (3, 4), 48),
        "a.bias": ("BF16", (3,), 6),
        "n": ("I64", (), 8),
    }
    assert [(total.name, total.tensors, total.nbytes) for total in report.dtypes] == [
        ("F32", 1, 48),
        ("I64", 1, 8),
        ("BF16", 1, 6),
    ]
    assert [(file.path, file.nbytes, file.tensor_bytes) for file in report.files] == [(path, os.stat(path).st_size, 62)]
    assert report.metadata == {"format": "pt"} and report.code is None and report.selection is None


def test_shards_are_told_one_by_one(tmp_path):
    save_file({"a": torch.zeros(2)}, tmp_path / "model-00001-of-00002.safetensors")
    save_file({"b": torch.zeros(3), "c": torch.zeros(1)}, tmp_path / "model-00002-of-00002.safetensors")
    report = inspect(tmp_path)
    assert [(file.path.name, file.tensors, file.tensor_bytes) for file in report.files] == [
        ("model-00001-of-00002.safetensors", 1, 8),
        ("model-00002-of-00002.safetensors", 2, 16),
    ]
    assert report.file_bytes == sum(path.stat().st_size for path in tmp_path.iterdir())


def test_tied_tensors_count_once(checkpoint):
    report = inspect_checkpoint(checkpoint(stored("embed", 0, 10), stored("head", 0, 10), stored("bias", 40, 2)))
    assert report.tied == (("embed", "head"),)
    assert {tensor.name: tensor.tied_to for tensor in report.tensors} == {"embed": None, "head": "embed", "bias": None}
    assert (report.parameters, report.tensor_bytes, report.dtypes[0].tensors) == (12, 48, 2)
    assert report.overlapping == ()


def test_names_that_are_stored_as_aliases_are_tied(checkpoint):
    report = inspect_checkpoint(checkpoint(stored("embed", 0, 10), aliases={"head": "embed"}))
    assert report.tied == (("embed", "head"),) and report.parameters == 10


@pytest.mark.parametrize(
    "other",
    [
        stored("head", 0, 5, DType.F64),
        stored("head", 0, 9),
        TensorRecord("head", DType.F32, (5, 2), StoredBytes(Path("a.bin"), 0, 40)),
        TensorRecord("head", DType.F32, (2, 5), StridedBytes(Path("a.bin"), 0, 40, 4, (2, 5), (1, 2))),
    ],
    ids=["dtype", "length", "shape", "strides"],
)
def test_what_shares_bytes_and_is_not_the_same_tensor_is_no_tie(checkpoint, other):
    report = inspect_checkpoint(checkpoint(stored("embed", 0, 10), other))
    assert report.tied == () and report.overlapping == (("embed", "head"),)
    assert report.tensor_bytes == 40


def test_empty_tensors_share_nothing(checkpoint):
    report = inspect_checkpoint(checkpoint(stored("a", 0, 0), stored("b", 0, 0), stored("c", 0, 4)))
    assert report.tied == () and report.overlapping == ()


def test_neighbours_share_nothing(checkpoint):
    report = inspect_checkpoint(checkpoint(stored("a", 0, 4), stored("b", 16, 4)))
    assert report.overlapping == () and report.tensor_bytes == 32


def test_a_view_that_repeats_takes_what_it_reads(checkpoint):
    expanded = TensorRecord("a", DType.F32, (100, 4), StridedBytes(Path("a.bin"), 0, 16, 4, (100, 4), (0, 1)))
    report = inspect_checkpoint(checkpoint(expanded))
    assert (report.tensors[0].nbytes, report.tensors[0].elements) == (16, 400)


def test_parameters_are_those_of_the_model(checkpoint):
    records = stored("state_dict.w", 0, 10), stored("optimizer.0.exp_avg", 40, 10)
    selection = Selection("state_dict", ("state_dict",), ("optimizer",), "the only part that holds parameters")
    report = inspect_checkpoint(checkpoint(*records, selection=selection))
    assert report.parameters == 10 and report.tensor_bytes == 80
    assert [tensor.model for tensor in report.tensors] == [True, False]


def test_a_prefix_is_no_prefix_of_a_longer_name(checkpoint):
    selection = Selection("model", ("model", "model_ema"))
    report = inspect_checkpoint(checkpoint(stored("model.w", 0, 1), stored("model_ema.w", 4, 1), selection=selection))
    assert [tensor.model for tensor in report.tensors] == [True, False]


def test_a_model_that_can_not_be_told_has_no_parameters(checkpoint):
    selection = Selection(None, ("gen", "disc"), reason="several")
    report = inspect_checkpoint(checkpoint(stored("gen.w", 0, 1), stored("disc.w", 4, 1), selection=selection))
    assert report.parameters == 0


def test_json_has_it_all(checkpoint):
    code = CodeReport((GlobalUse("os", "system", "code", True),))
    report = inspect_checkpoint(
        checkpoint(stored("w", 0, 1), code=code, unsupported={"s": "sparse"}, warnings=("odd",), metadata={"k": 1})
    )
    values = json.loads(json.dumps(report.to_json()))
    assert values["code"] == {
        "runs_code": True,
        "globals": [{"global": "os.system", "verdict": "code", "called": True}],
    }
    assert (values["unsupported"], values["warnings"], values["metadata"]) == ({"s": "sparse"}, ["odd"], {"k": 1})
    assert values["tensors"][0]["name"] == "w" and values["parameters"] == 1


def test_long_metadata_are_cut_in_json(checkpoint):
    metadata = {"tokens": [str(number) for number in range(1000)], "text": "x" * 10_000, "inf": float("inf")}
    values = inspect_checkpoint(checkpoint(stored("w", 0, 1), metadata=metadata)).to_json()["metadata"]
    assert values["tokens"]["items"] == 1000 and len(values["tokens"]["first"]) == 32
    assert values["text"]["characters"] == 10_000 and values["inf"] == "inf"


def test_nothing_but_headers_is_read(tmp_path):
    size = 10**13
    header = json.dumps({"w": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}).encode()
    path = tmp_path / "sparse.safetensors"
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(header)) + header)
        file.truncate(8 + len(header) + size)
    assert inspect(path).tensor_bytes == size


def test_matching_finds_anywhere_in_a_name(checkpoint):
    report = inspect_checkpoint(checkpoint(stored("a.weight", 0, 1), stored("a.bias", 4, 1)))
    assert [tensor.name for tensor in report.matching("bias$")] == ["a.bias"]
    with pytest.raises(InvalidInput, match="no regular expression"):
        report.matching("(")


def test_what_is_no_checkpoint_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(UnknownFormat):
        inspect(tmp_path / "notes.txt")
    with pytest.raises(CheckpointError, match="no such file"):
        inspect(tmp_path / "absent.pt")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.safetensors")
        with pytest.raises(CheckpointError, match="named pipe"):
            inspect(tmp_path / "pipe.safetensors")


def test_small_arrays_inside_a_pickle_are_not_tied_and_share_no_bytes(tmp_path):
    path = tmp_path / "x.pt"
    shared = np.float32([7, 8, 9])
    torch.save({"a": np.float32([1, 2, 3]), "b": np.float32([4, 5, 6]), "c": shared, "d": shared}, path)
    report = inspect(path)
    assert report.tied == (("c", "d"),)
    assert report.overlapping == ()
    assert report.parameters == 9
