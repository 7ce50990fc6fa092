"""Prompts as a batch: checked, padded on the left, on the model's device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from zoo.errors import InvalidInput

__all__ = ["Prompt", "TokenIds", "make_prompt"]

TokenIds = Tensor | Sequence[Sequence[int]]
"""(batch, length) token ids, or lists of them, which may differ in length."""

PADDING = 0
"""Stands where the mask says padding: an id that every model has, which a tokenizer's padding token need not be."""


@dataclass(frozen=True)
class Prompt:
    """A batch of prompts.

    input_ids: (batch, length). mask: boolean, of the same shape, False where padded; None when nothing is padded.
    lengths: how many real tokens each row has.
    """

    input_ids: Tensor
    mask: Tensor | None
    lengths: tuple[int, ...]

    def positions(self) -> Tensor | None:
        """(batch, length), counted over real tokens, 0 for padding; None, for 0, 1, 2, ..., when nothing is padded."""
        return None if self.mask is None else (self.mask.cumsum(dim=-1) - 1).clamp(min=0)


def make_prompt(
    input_ids: TokenIds, attention_mask: Tensor | None, *, device: torch.device, vocab_size: int | None = None
) -> Prompt:
    """Check token ids and their mask (nonzero where a token is real) and bring them into a batch.

    Raises InvalidInput for an empty batch or prompt, padding that is not on the left, and ids outside the vocabulary.
    """
    if isinstance(input_ids, Tensor):
        prompt = _from_tensors(input_ids, attention_mask, device)
    elif attention_mask is not None:
        raise InvalidInput(
            "Lists of token ids are padded here, so they take no attention_mask.", hint="Pass both as tensors."
        )
    else:
        prompt = _from_lists(input_ids, device)
    _check_ids(prompt, vocab_size)
    return prompt


def _from_lists(rows: Sequence[Sequence[int]], device: torch.device) -> Prompt:
    given: object = rows  # what a caller without a type checker may pass
    if not isinstance(given, Sequence):
        raise InvalidInput(f"input_ids: expected a tensor or lists of token ids, found {type(given).__name__}.")
    first: object = rows[0] if len(rows) else None
    if isinstance(first, str):
        raise InvalidInput(
            "input_ids: expected token ids, found text.", hint="Encode it with the preprocessor, or use zoo.pipeline."
        )
    if isinstance(first, int):
        raise InvalidInput(
            "input_ids: expected one list of token ids per prompt, found a single list of ids.", hint="Pass [ids]."
        )
    for index, ids in enumerate(given):
        if not isinstance(ids, Sequence) or not all(type(token) is int and abs(token) < 2**63 for token in ids):
            raise InvalidInput(f"input_ids: expected a list of token ids, ints, for prompt {index}; found {ids!r}.")
    lengths = tuple(len(row) for row in rows)
    _check_lengths(lengths)
    width = max(lengths)
    padded = [[PADDING] * (width - len(row)) + list(row) for row in rows]
    padded_ids = torch.tensor(padded, dtype=torch.long, device=device)
    if min(lengths) == width:
        return Prompt(padded_ids, None, lengths)
    padding = torch.tensor([width - length for length in lengths], device=device)
    return Prompt(padded_ids, torch.arange(width, device=device) >= padding[:, None], lengths)


def _from_tensors(input_ids: Tensor, attention_mask: Tensor | None, device: torch.device) -> Prompt:
    if input_ids.dim() != 2:
        raise InvalidInput(f"input_ids: expected shape (batch, length), found {tuple(input_ids.shape)}.")
    if input_ids.is_floating_point() or input_ids.is_complex() or input_ids.dtype == torch.bool:
        raise InvalidInput(f"input_ids: expected integers, found {input_ids.dtype}.")
    ids = input_ids.to(device, torch.long)
    if attention_mask is None:
        lengths = (ids.shape[1],) * len(ids)
        _check_lengths(lengths)
        return Prompt(ids, None, lengths)
    if attention_mask.shape != ids.shape:
        raise InvalidInput(
            f"attention_mask: expected the shape of input_ids, {tuple(ids.shape)}, found {tuple(attention_mask.shape)}."
        )
    mask = attention_mask.to(device) != 0
    lengths = tuple(mask.sum(dim=-1).tolist())
    _check_lengths(lengths)
    if min(lengths) == ids.shape[1]:
        return Prompt(ids, None, lengths)
    if (mask[:, :-1] & ~mask[:, 1:]).any():
        raise InvalidInput(
            "attention_mask: a real token stands before padding; prompts must be padded on the left.",
            hint="Generation goes on at the right end: pass lists of token ids, or pad on the left.",
        )
    return Prompt(ids.masked_fill(~mask, PADDING), mask, lengths)


def _check_lengths(lengths: tuple[int, ...]) -> None:
    if not lengths:
        raise InvalidInput("There is no prompt: the batch is empty.")
    if 0 in lengths:
        raise InvalidInput(
            f"Prompt {lengths.index(0)} is empty: it has no tokens.",
            hint="Generation needs at least one token to start from.",
        )


def _check_ids(prompt: Prompt, vocab_size: int | None) -> None:
    smallest, largest = (int(bound) for bound in prompt.input_ids.aminmax())
    if smallest < 0 or (vocab_size is not None and largest >= vocab_size):
        wrong = smallest if smallest < 0 else largest
        row, column = (prompt.input_ids == wrong).nonzero()[0].tolist()
        known = "" if vocab_size is None else f"; the vocabulary has {vocab_size} tokens, 0 to {vocab_size - 1}"
        raise InvalidInput(f"input_ids: prompt {row} has the id {wrong} at position {column}{known}.")
