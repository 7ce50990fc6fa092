"""What generation returns."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from zoo.generation.stopping import FinishReason

__all__ = ["Generation", "GenerationOutput"]


@dataclass(frozen=True, kw_only=True)
class Generation:
    """A generated text, without the prompt.

    token_ids: all new tokens, also the one that ended the text, or those of the stop string, which are not in `text`
    (neither is half a character, where the last token has no more). prompt_tokens: how many tokens the prompt had.
    logprobs: of each new token, under the model's own distribution, if they were asked for.
    """

    text: str
    token_ids: tuple[int, ...]
    finish_reason: FinishReason
    prompt_tokens: int
    logprobs: tuple[float, ...] | None = None

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, kw_only=True)
class GenerationOutput:
    """The new tokens of a batch, one entry per prompt in everything, as in `Generation`. pad_token_id: for `padded`."""

    token_ids: tuple[tuple[int, ...], ...]
    finish_reasons: tuple[FinishReason, ...]
    prompt_tokens: tuple[int, ...]
    logprobs: tuple[tuple[float, ...], ...] | None
    pad_token_id: int

    def padded(self) -> Tensor:
        """The new tokens as a tensor (batch, most new tokens), filled up on the right with pad_token_id."""
        width = max(map(len, self.token_ids))
        return torch.tensor([[*ids, *(self.pad_token_id,) * (width - len(ids))] for ids in self.token_ids])
