"""How the next token is chosen from the scores of all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from zoo.generation.sampling import apply_min_p, apply_temperature, apply_top_k, apply_top_p, draw, narrow_to_candidates
from zoo.generation.settings import GenerationSettings

__all__ = ["Greedy", "Sampling", "Strategy", "strategy_for"]


class Strategy(Protocol):
    """Chooses one token per row and step. What needs more (beams, drafts) is a decoder of its own: see `decoding`."""

    def choose(self, logits: Tensor) -> Tensor:
        """logits: (batch, vocabulary) -> token ids (batch,), -1 where the logits are not numbers."""
        ...

    def reorder(self, rows: Tensor) -> None:
        """From the next step on, row i of the batch is what row rows[i] was; rows may be left out."""
        ...


class Greedy:
    """The most likely token; of equal ones, the first."""

    def choose(self, logits: Tensor) -> Tensor:
        highest, tokens = logits.max(dim=-1)
        return tokens.masked_fill_(highest.isnan(), -1)

    def reorder(self, rows: Tensor) -> None:
        """Nothing to do: no row has a state."""


class Sampling:
    """A token drawn at random, from the distribution as the settings shape it.

    seeds: one per row, each with a generator of its own; None: torch's default generator. Random numbers are drawn on
    the CPU, whatever the device of the model, so that a seed means the same on all.
    """

    def __init__(self, settings: GenerationSettings, seeds: Sequence[int] | None) -> None:
        self._settings = settings
        self._generators = None if seeds is None else [torch.Generator().manual_seed(seed) for seed in seeds]

    def choose(self, logits: Tensor) -> Tensor:
        settings, ids = self._settings, None
        scores = apply_temperature(logits.float(), settings.temperature)
        if settings.top_k:
            scores, ids = narrow_to_candidates(apply_top_k(scores, settings.top_k))
        if settings.top_p < 1:
            scores = apply_top_p(scores, settings.top_p)
        if settings.min_p > 0:
            scores = apply_min_p(scores, settings.min_p)
        index = draw(scores, self._uniform(len(scores)).to(scores.device))
        if ids is None:
            return index
        return ids.gather(1, index.clamp(min=0)[:, None]).squeeze(1).where(index >= 0, index)

    def reorder(self, rows: Tensor) -> None:
        if self._generators is not None:
            self._generators = [self._generators[row] for row in rows.tolist()]

    def _uniform(self, count: int) -> Tensor:
        if self._generators is None:
            return torch.rand(count)
        return torch.cat([torch.rand(1, generator=generator) for generator in self._generators])


def strategy_for(settings: GenerationSettings, batch: int) -> Strategy:
    """What the settings ask for."""
    if not settings.samples:
        return Greedy()
    seed = settings.seed
    return Sampling(settings, (seed,) * batch if isinstance(seed, int) else seed)
