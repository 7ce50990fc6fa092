"""Stochastic depth."""

from __future__ import annotations

import pytest
import torch

from zoo.nn.drop_path import DropPath


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_a_branch_is_left_out_as_often_as_said_and_keeps_its_mean(dtype):
    torch.manual_seed(0)
    for rate in (0.002, 0.3):
        out = DropPath(rate)(torch.ones(100_000, 1, 1, dtype=dtype))
        assert out.dtype == dtype
        left_out = (out == 0).sum().item() / 100_000
        assert left_out == pytest.approx(rate, rel=0.25)  # also where the dtype knows no number between it and 0
        kept = torch.tensor(1 / (1 - rate), dtype=dtype)
        torch.testing.assert_close(out[out != 0], kept.expand(int((out != 0).sum())))


def test_whole_samples_are_left_out_and_only_while_training():
    torch.manual_seed(0)
    drop, x = DropPath(0.5), torch.randn(64, 3, 2)
    out = drop(x)
    assert all(torch.equal(row, 0 * sample) or torch.equal(row, 2 * sample) for row, sample in zip(out, x, strict=True))
    assert torch.equal(drop.eval()(x), x)
