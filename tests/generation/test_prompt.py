"""Prompts that can't be used are refused with what is wrong with them."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from zoo.errors import InvalidInput
from zoo.generation.prompt import make_prompt

CPU = torch.device("cpu")


def test_lists_are_padded_on_the_left() -> None:
    prompt = make_prompt([[5, 6, 7], [8]], None, device=CPU)
    positions = prompt.positions()
    assert prompt.mask is not None
    assert positions is not None
    assert prompt.mask.tolist() == [[True] * 3, [False, False, True]]
    assert prompt.input_ids[prompt.mask].tolist() == [5, 6, 7, 8]
    assert prompt.lengths == (3, 1)
    assert positions.tolist() == [[0, 1, 2], [0, 0, 0]]


def test_there_is_no_mask_where_nothing_is_padded() -> None:
    for prompt in (
        make_prompt([[5, 6], [7, 8]], None, device=CPU),
        make_prompt(torch.tensor([[5, 6]]), torch.ones(1, 2), device=CPU),
    ):
        assert prompt.mask is None
        assert prompt.positions() is None


def test_padding_may_be_an_id_that_the_model_does_not_have() -> None:
    prompt = make_prompt(torch.tensor([[99, 5], [6, 7]]), torch.tensor([[0, 1], [1, 1]]), device=CPU, vocab_size=10)
    assert prompt.input_ids[0, 0] < 10


@pytest.mark.parametrize(
    ("ids", "mask", "message"),
    [
        ([], None, "the batch is empty"),
        ([[1], []], None, "Prompt 1 is empty"),
        (torch.empty(2, 0, dtype=torch.long), None, "Prompt 0 is empty"),
        (torch.tensor([[1, 2], [3, 4]]), torch.tensor([[1, 1], [0, 0]]), "Prompt 1 is empty"),
        (None, None, "found NoneType"),
        ([None], None, "for prompt 0; found None"),
        ([[1], [1.5]], None, r"for prompt 1; found \[1.5\]"),
        ([[2**70]], None, "for prompt 0"),
        ([1, 2], None, "one list of token ids per prompt"),
        ("hello", None, "found text"),
        (["hello"], None, "found text"),
        (torch.tensor([1, 2]), None, r"shape \(batch, length\), found \(2,\)"),
        (torch.tensor([[1.0]]), None, "expected integers, found torch.float32"),
        (torch.tensor([[1, 2]]), torch.ones(1, 3), r"attention_mask: expected the shape .* \(1, 2\), found \(1, 3\)"),
        (torch.tensor([[1, 2]]), torch.tensor([[1, 0]]), "padded on the left"),
        (torch.tensor([[1, 2, 3]]), torch.tensor([[1, 0, 1]]), "padded on the left"),
        ([[1]], torch.ones(1, 1), "take no attention_mask"),
        ([[1], [2, 50]], None, "prompt 1 has the id 50 at position 1; the vocabulary has 50 tokens, 0 to 49"),
        ([[-1]], None, "prompt 0 has the id -1"),
    ],
)
def test_refusals(ids: Any, mask: torch.Tensor | None, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        make_prompt(ids, mask, device=CPU, vocab_size=50)
