from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo.checkpoint import DType, TensorPlan, plan_shards
from zoo.errors import SaveError


def u8(name: str, size: int) -> TensorPlan:
    return TensorPlan(name, DType.U8, (size,))


def test_one_file_has_no_index() -> None:
    plan = plan_shards([u8("b", 3), u8("a", 2)])
    assert [file.name for file in plan.files] == ["model.safetensors"]
    assert (plan.total_size, plan.index) == (5, None)


def test_no_tensors_are_one_empty_file() -> None:
    (file,) = plan_shards([], 10).files
    assert (file.name, file.tensors, file.data_bytes) == ("model.safetensors", (), 0)


def test_shards_hold_neighbouring_layers() -> None:
    plan = plan_shards([u8(f"layers.{layer}.w", 4) for layer in (10, 9, 2, 11, 1)], 8)
    assert [[placed.tensor.name for placed in file.tensors] for file in plan.files] == [
        ["layers.1.w", "layers.2.w"],
        ["layers.10.w", "layers.9.w"],
        ["layers.11.w"],
    ]
    assert [file.name for file in plan.files] == [f"model-{number:05d}-of-00003.safetensors" for number in (1, 2, 3)]


def test_the_index_is_that_of_the_hub() -> None:
    plan = plan_shards([u8("b", 4), u8("a", 4)], 4)
    assert plan.index == (
        b'{\n  "metadata": {\n    "total_size": 8\n  },\n  "weight_map": {\n'
        b'    "a": "model-00001-of-00002.safetensors",\n    "b": "model-00002-of-00002.safetensors"\n  }\n}\n'
    )


def test_a_tensor_that_is_too_large_has_a_file_of_its_own() -> None:
    plan = plan_shards([u8("a", 1), u8("b", 100), u8("c", 1)], 10)
    assert [file.data_bytes for file in plan.files] == [1, 100, 1]


def test_a_shard_may_be_exactly_full() -> None:
    assert len(plan_shards([u8("a", 5), u8("b", 5)], 10).files) == 1
    assert len(plan_shards([u8("a", 5), u8("b", 6)], 10).files) == 2


def test_wide_elements_come_first_so_that_all_are_aligned() -> None:
    tensors = [
        TensorPlan("flag", DType.BOOL, (3,)),
        TensorPlan("half", DType.F16, (3,)),
        TensorPlan("double", DType.F64, (1,)),
        TensorPlan("nibbles", DType.F4, (2,)),
        TensorPlan("single", DType.F32, (1,)),
    ]
    (file,) = plan_shards(tensors).files
    assert [(placed.tensor.name, placed.begin, placed.end) for placed in file.tensors] == [
        ("double", 0, 8),
        ("single", 8, 12),
        ("half", 12, 18),
        ("nibbles", 18, 19),
        ("flag", 19, 22),
    ]


@given(
    sizes=st.dictionaries(st.text("ab.019", max_size=6), st.integers(0, 20), max_size=12),
    limit=st.one_of(st.none(), st.integers(1, 40)),
    seed=st.integers(0, 1000),
)
def test_plans_are_complete_bounded_and_without_order(sizes: dict[str, int], limit: int | None, seed: int) -> None:
    tensors = [u8(name, size) for name, size in sizes.items()]
    plan = plan_shards(tensors, limit)
    random.Random(seed).shuffle(tensors)
    assert plan_shards(tensors, limit) == plan
    assert {placed.tensor.name: placed.tensor.nbytes for file in plan.files for placed in file.tensors} == sizes
    assert plan.total_size == sum(sizes.values())
    for file in plan.files:
        assert (
            limit is None or file.data_bytes <= limit or sum(placed.end > placed.begin for placed in file.tensors) == 1
        )
        assert [placed.begin for placed in file.tensors] == [0, *(placed.end for placed in file.tensors)][:-1]
    if plan.index is not None:
        assert json.loads(plan.index)["weight_map"] == plan.weight_map
        assert plan.weight_map.keys() == sizes.keys()


@pytest.mark.parametrize(
    ("tensor", "said"),
    [
        (u8("a\0b", 1), ["'a\\x00b'", "NUL"]),
        (u8("a\ud800", 1), ["'a\\ud800'", "surrogate"]),
        (u8("__metadata__", 1), ["'__metadata__'", "for its metadata"]),
        (u8("w", -1), ["'w'", "[-1]", "at least 0"]),
        (TensorPlan("w", DType.U8, (True,)), ["'w'", "[True]", "integers"]),
        (TensorPlan("w", DType.U8, (1,) * 65), ["'w'", "65 dimensions"]),
        (TensorPlan("w", DType.F32, (2**61, 2)), ["'w'", "overflows"]),
        (TensorPlan("w", DType.F4, (3,)), ["'w'", "whole bytes"]),
    ],
)
def test_tensors_that_no_reader_would_take(tensor: TensorPlan, said: list[str]) -> None:
    with pytest.raises(SaveError) as raised:
        plan_shards([u8("fine", 1), tensor])
    for fact in said:
        assert fact in str(raised.value)


def test_two_tensors_of_one_name() -> None:
    with pytest.raises(SaveError, match=r"'w' can't be written.*two tensors of this name"):
        plan_shards([u8("w", 1), u8("w", 2)])


@pytest.mark.parametrize("limit", [0, -1])
def test_shards_without_room(limit: Any) -> None:
    with pytest.raises(SaveError, match=f"max_shard_size is {limit}"):
        plan_shards([u8("w", 1)], limit)
