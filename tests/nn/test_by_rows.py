"""A network over parts of its input gives what it gives over the whole."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from zoo.nn.by_rows import AT_A_TIME, LARGE, by_rows


@pytest.fixture
def network():
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Linear(4, 1024), nn.GELU(), nn.Linear(1024, 6))
    seen: list[int] = []
    layers.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].numel() // 4))
    layers.seen = seen
    return layers


def test_a_large_hidden_layer_is_made_in_parts(network):
    x = torch.randn(2, LARGE // 2048 + 7, 4)
    with torch.no_grad():
        parts = by_rows(network, x, 1024)
        assert len(network.seen) > 1 and max(network.seen) * 1024 <= AT_A_TIME and sum(network.seen) == x.numel() // 4
        assert parts.shape == (*x.shape[:2], 6) and torch.allclose(parts, network(x), atol=1e-6)
        assert torch.allclose(by_rows(network, x.transpose(0, 1), 1024), parts.transpose(0, 1), atol=1e-6)


def test_a_small_one_is_one_call_as_is_one_with_gradients(network):
    with torch.no_grad():
        by_rows(network, torch.randn(3, 4), 1024)
    by_rows(network, torch.randn(LARGE // 1024 + 7, 4), 1024).sum().backward()
    assert network.seen == [3, LARGE // 1024 + 7]
    assert network[0].weight.grad is not None


def test_no_rows_at_all(network):
    with torch.no_grad():
        assert by_rows(network, torch.randn(0, 5, 4), 1024).shape == (0, 5, 6)
