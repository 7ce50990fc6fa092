from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from zoo.checkpoint import DType, TensorPlan, plan_shards
from zoo.checkpoint.digest import content_digest, file_digest, header_digest, tensor_digest
from zoo.checkpoint.safetensors import open_file
from zoo.errors import SaveError

WriteTensors = Callable[..., Path]


def test_the_content_digest_is_as_documented(write_tensors: WriteTensors) -> None:
    """Other programs are to be able to compute it."""
    records = open_file(write_tensors({"b": b"22", "ä": b"1"}))
    digests = {name: tensor_digest(record) for name, record in records.items()}
    lines = (
        f'["b","U8",[2],"{hashlib.sha256(b"22").hexdigest()}"]\n'
        f'["c","U8",[2],"{hashlib.sha256(b"22").hexdigest()}"]\n'
        f'["ä","U8",[1],"{hashlib.sha256(b"1").hexdigest()}"]\n'
    )
    names = {**records, "c": records["b"]}
    assert content_digest(names, {**digests, "c": digests["b"]}) == hashlib.sha256(lines.encode()).hexdigest()


def test_the_header_digest_sees_what_the_header_says(write_tensors: WriteTensors) -> None:
    one = header_digest(open_file(write_tensors({"a": b"1", "b": b"22"}, name="1")))
    assert header_digest(open_file(write_tensors({"a": b"2", "b": b"33"}, name="2"))) == one
    for number, other in enumerate(({"a": b"11", "b": b"2"}, {"b": b"22", "a": b"1"}, {"a": b"1", "c": b"22"})):
        assert header_digest(open_file(write_tensors(other, name=f"other {number}"))) != one


def test_a_file(tmp_path: Path) -> None:
    content = bytes(range(256)) * 10_000
    (tmp_path / "x").write_bytes(content)
    assert file_digest(tmp_path / "x") == hashlib.sha256(content).hexdigest()


def test_an_index_with_more_metadata() -> None:
    plan = plan_shards([TensorPlan("a", DType.U8, (4,)), TensorPlan("b", DType.U8, (4,))], 4)
    index = plan.index_with({"other": "a"})
    assert index is not None
    assert b'"total_size": 8,\n    "other": "a"' in index
    assert plan_shards([TensorPlan("a", DType.U8, (4,))]).index_with({"other": "a"}) is None
    with pytest.raises(SaveError):
        plan_shards([TensorPlan("a", DType.U8, (4,))], 0)
