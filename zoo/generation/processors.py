"""What changes scores before a token is chosen, by any strategy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

import torch
from torch import Tensor

from zoo.generation.prompt import Prompt
from zoo.generation.sampling import EXCLUDED, apply_repetition_penalty
from zoo.generation.settings import GenerationSettings

__all__ = ["LogitsProcessor", "MinNewTokens", "RepetitionPenalty", "processors_for"]


class LogitsProcessor(Protocol):
    """Changes the scores of each step, and is told what was chosen."""

    def __call__(self, scores: Tensor) -> Tensor:
        """scores: (batch, vocabulary), float32 -> the same."""
        ...

    def observe(self, tokens: Tensor) -> None:
        """tokens: (batch,), those chosen in this step."""
        ...

    def reorder(self, rows: Tensor) -> None:
        """From the next step on, row i of the batch is what row rows[i] was; rows may be left out."""
        ...


class RepetitionPenalty:
    """Makes tokens of the prompt and of what was generated less likely; padding does not count."""

    def __init__(self, prompt: Prompt, penalty: float) -> None:
        self._prompt = prompt
        self._penalty = penalty
        self._seen: Tensor | None = None  # (batch, vocabulary), made when the size of the vocabulary is known

    def __call__(self, scores: Tensor) -> Tensor:
        if self._seen is None:
            self._seen = _occurrence(self._prompt, scores)
        return apply_repetition_penalty(scores, self._seen, self._penalty)

    def observe(self, tokens: Tensor) -> None:
        assert self._seen is not None
        self._seen.scatter_(1, tokens[:, None], True)

    def reorder(self, rows: Tensor) -> None:
        assert self._seen is not None
        self._seen = self._seen[rows]


class MinNewTokens:
    """Excludes the tokens that would end the text until there are enough."""

    def __init__(self, minimum: int, ending: Iterable[int]) -> None:
        self._left = minimum
        self._ending = torch.tensor(sorted(ending), dtype=torch.long)

    def __call__(self, scores: Tensor) -> Tensor:
        if self._left <= 0:
            return scores
        ending = self._ending[self._ending < scores.shape[-1]]  # a tokenizer may have more tokens than the model scores
        return scores.index_fill(1, ending.to(scores.device), EXCLUDED)

    def observe(self, tokens: Tensor) -> None:
        self._left -= 1

    def reorder(self, rows: Tensor) -> None:
        """Nothing to do: all rows have the same number of new tokens."""


def processors_for(settings: GenerationSettings, prompt: Prompt, ending: Sequence[int]) -> list[LogitsProcessor]:
    """What the settings ask for, in the order in which it applies. ending: the tokens that end a text."""
    processors: list[LogitsProcessor] = []
    if settings.repetition_penalty != 1:
        processors.append(RepetitionPenalty(prompt, settings.repetition_penalty))
    if settings.min_new_tokens > 0 and ending:
        processors.append(MinNewTokens(settings.min_new_tokens, ending))
    return processors


def _occurrence(prompt: Prompt, scores: Tensor) -> Tensor:
    """Boolean, as the scores: which tokens the prompt holds. Ids past the scored vocabulary are never chosen anyway."""
    counted = prompt.input_ids < scores.shape[-1]
    if prompt.mask is not None:
        counted &= prompt.mask
    rows, columns = counted.nonzero(as_tuple=True)
    seen = torch.zeros_like(scores, dtype=torch.bool)
    seen[rows, prompt.input_ids[rows, columns]] = True
    return seen
