"""The cache against the plain way, which is to concatenate."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from zoo.errors import UnsupportedFeature
from zoo.generation import KVCache
from zoo.generation.cache import BLOCK
from zoo.interfaces.cache import Cache, CacheSpec, LayerCacheSpec

SPEC = CacheSpec(layers=(LayerCacheSpec(kind="self", num_heads=2, head_dim=4),) * 2)


def append(cache: Cache, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    for layer in cache.layers:
        got = layer.append(keys, values)
    cache.advance(keys.shape[2])
    return got


def fresh(batch: int, new: int) -> tuple[Tensor, Tensor]:
    return torch.randn(batch, 2, new, 4), torch.randn(batch, 2, new, 4)


operations = st.one_of(
    st.tuples(st.just("append"), st.integers(1, 300)),
    st.tuples(st.just("crop"), st.floats(0, 1)),
    st.tuples(st.just("reorder"), st.lists(st.integers(0, 2), min_size=1, max_size=4)),
)


@settings(deadline=None, max_examples=40)
@given(capacity=st.integers(0, 400), steps=st.lists(operations, max_size=6))
def test_holds_what_concatenation_would(capacity: int, steps: list[tuple[str, int | float | list[int]]]) -> None:
    cache = KVCache(SPEC, capacity)
    keys, values = fresh(3, 1)
    append(cache, keys, values)
    for kind, argument in steps:
        if kind == "append":
            assert isinstance(argument, int)
            new_keys, new_values = fresh(len(keys), argument)
            keys, values = torch.cat([keys, new_keys], 2), torch.cat([values, new_values], 2)
            got_keys, got_values = append(cache, new_keys, new_values)
            assert torch.equal(got_keys, keys)
            assert torch.equal(got_values, values)
        elif kind == "crop":
            assert isinstance(argument, float)
            length = int(argument * cache.length)
            cache.crop(length)
            keys, values = keys[:, :, :length], values[:, :, :length]
        else:
            assert isinstance(argument, list)
            rows = torch.tensor([row % len(keys) for row in argument])
            cache.reorder(rows)
            keys, values = keys[rows], values[rows]
        assert cache.length == keys.shape[2]
    last_keys, last_values = fresh(len(keys), 1)
    got_keys, got_values = append(cache, last_keys, last_values)
    assert torch.equal(got_keys, torch.cat([keys, last_keys], 2))
    assert torch.equal(got_values, torch.cat([values, last_values], 2))


def test_is_written_in_place_and_allocated_in_blocks() -> None:
    cache = KVCache(SPEC, BLOCK)
    first, _ = append(cache, *fresh(1, 10))
    size = cache.nbytes
    for _ in range(BLOCK - 10):
        keys, _ = append(cache, *fresh(1, 1))
        assert keys.data_ptr() == first.data_ptr()
    assert cache.nbytes == size == 2 * 2 * BLOCK * 2 * 4 * 4
    keys, _ = append(cache, *fresh(1, 1))
    assert keys.data_ptr() != first.data_ptr()
    assert cache.nbytes > size
    assert keys.shape[2] == BLOCK + 1


def test_takes_the_dtype_of_what_comes() -> None:
    keys, values = fresh(1, 3)
    got, _ = KVCache(SPEC).layers[0].append(keys.bfloat16(), values.bfloat16())
    assert got.dtype == torch.bfloat16


def test_cropping_past_the_end() -> None:
    cache = KVCache(SPEC)
    append(cache, *fresh(1, 3))
    with pytest.raises(ValueError, match="3 positions to 4"):
        cache.crop(4)


def test_other_kinds_of_layers_are_refused() -> None:
    spec = CacheSpec(layers=(LayerCacheSpec(kind="recurrent", num_heads=1, head_dim=1),))
    with pytest.raises(UnsupportedFeature, match="Layer 0 keeps a 'recurrent' cache"):
        KVCache(spec)
