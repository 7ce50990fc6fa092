"""Safetensors keeps what every format promises, and a reader with one thing wrong is caught."""

from __future__ import annotations

import dataclasses
import json

import pytest
from safetensors.numpy import save_file

from zoo.checkpoint import safetensors
from zoo.checkpoint.dtypes import DType
from zoo.checkpoint.records import Checkpoint, StoredBytes
from zoo.errors import MalformedCheckpoint
from zoo.testing import FormatConformance

SLOW = frozenset({"test_manifest_loads_in_a_fresh_process_without_torch", "test_opening_imports_nothing_heavy"})


class Safetensors(FormatConformance):
    format = "safetensors"
    dtypes = ("float32", "float16", "float64", "int8", "uint16", "int64", "bool")

    def make(self, path, tensors):
        save_file(tensors, path)


class TestSafetensors(Safetensors):
    pass


right = safetensors.open_file


def with_records(change):
    """The reader, with its records changed."""

    def opened(path):
        checkpoint = right(path)
        return checkpoint.replace(records={name: change(record) for name, record in checkpoint.items()})

    return opened


def moved(record):
    """One byte on, where that is in the file."""
    data = record.data
    if data.offset + data.nbytes >= data.path.stat().st_size:
        return record
    return dataclasses.replace(record, data=StoredBytes(data.path, data.offset + 1, data.nbytes))


def past_the_end(record):
    return dataclasses.replace(
        record, data=StoredBytes(record.data.path, record.data.offset, record.data.nbytes + 10**6)
    )


def unsigned(record):
    return dataclasses.replace(record, dtype=DType.I16) if record.dtype is DType.U16 else record


def forgiving(path):
    """What is not whole is taken for a file without tensors."""
    try:
        return right(path)
    except MalformedCheckpoint:
        return Checkpoint(format="safetensors", location=path, files=[path], records={})


def careless(path):
    content = path.read_bytes()
    json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    return right(path)


WRONG = {
    "offsets are off by one": (with_records(moved), {"test_opens_what_it_is_for"}, "with other bytes"),
    "a type is another": (with_records(unsigned), {"test_opens_what_it_is_for"}, "is read as I16"),
    "tensors go past the end": (
        with_records(past_the_end),
        {"test_opens_what_it_is_for", "test_opening_reads_nothing_but_headers"},
        "where there is nothing",
    ),
    "a whole file is seen in what is not": (forgiving, {"test_truncated_files_are_refused"}, "is read as a whole one"),
    "what is no JSON raises as it is": (
        careless,
        {"test_truncated_files_are_refused", "test_damaged_files_raise_checkpoint_errors_alone"},
        "raises JSONDecodeError",
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_wrong_is_caught(outcomes, monkeypatch, wrong):
    opened, checks, said = WRONG[wrong]
    monkeypatch.setattr(safetensors, "open_file", opened)
    failed = outcomes(Safetensors, left_out=SLOW)
    assert set(failed) == checks, failed
    assert any(said in message for message in failed.values()), failed


def test_a_reader_that_imports_numpy_is_caught(tmp_path, site, monkeypatch):
    (site / "reader_of_this_test.py").write_text(
        "import numpy\nfrom zoo.checkpoint.safetensors import open_file as open_file\n"
    )
    conformance = Safetensors()
    entry = conformance.format_entry()
    spec = dataclasses.replace(entry.spec, open="reader_of_this_test:open_file")
    monkeypatch.setattr(Safetensors, "format_entry", lambda self: entry._replace(spec=spec))
    with pytest.raises(AssertionError, match="Opening a 'safetensors' file imports numpy"):
        conformance.test_opening_imports_nothing_heavy(tmp_path)
