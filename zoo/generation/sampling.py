"""What sampling does to scores, as pure functions. Scores are (batch, vocabulary), float32, -inf for what is excluded.

The semantics, ties included, are those of transformers' logits processors, and so is the order in which they apply:
repetition penalty, temperature, top-k, top-p, min-p.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = [
    "apply_min_p",
    "apply_repetition_penalty",
    "apply_temperature",
    "apply_top_k",
    "apply_top_p",
    "draw",
    "narrow_to_candidates",
]

EXCLUDED = float("-inf")


def apply_repetition_penalty(scores: Tensor, seen: Tensor, penalty: float) -> Tensor:
    """Make tokens that were seen (boolean, as scores) less likely, by a penalty above 1 (Keskar et al., 2019)."""
    return torch.where(seen, torch.where(scores < 0, scores * penalty, scores / penalty), scores)


def apply_temperature(scores: Tensor, temperature: float) -> Tensor:
    """Sharpen the distribution (below 1) or flatten it (above 1)."""
    return scores / temperature


def apply_top_k(scores: Tensor, k: int) -> Tensor:
    """Exclude all but the k most likely tokens, and those equal to the last of them (Fan et al., 2018)."""
    last = scores.topk(min(k, scores.shape[-1])).values[:, -1:]
    return scores.masked_fill(scores < last, EXCLUDED)


def apply_top_p(scores: Tensor, p: float) -> Tensor:
    """Exclude all but the likeliest tokens that together have probability p, at least one (Holtzman et al., 2020)."""
    probabilities = scores.softmax(dim=-1)
    # Sorting a vocabulary costs more than everything else here. Tokens of at most (1 - p) / n are out in any case: all
    # n of them together would have no more than the 1 - p that is to be cut off. Few are above that.
    plausible = probabilities > (1 - p) / probabilities.shape[-1]
    likeliest, ids = probabilities.topk(max(1, int(plausible.sum(dim=-1).max())))
    likelier_mass = likeliest.cumsum(dim=-1) - likeliest
    kept = likelier_mass < p
    kept[:, 0] = True
    excluded = torch.ones_like(scores, dtype=torch.bool).scatter_(-1, ids, ~kept)
    return scores.masked_fill(excluded, EXCLUDED)


def apply_min_p(scores: Tensor, p: float) -> Tensor:
    """Exclude tokens that are less than p times as likely as the likeliest (Nguyen et al., 2024)."""
    probabilities = scores.softmax(dim=-1)
    return scores.masked_fill(probabilities < p * probabilities.amax(dim=-1, keepdim=True), EXCLUDED)


def narrow_to_candidates(scores: Tensor) -> tuple[Tensor, Tensor]:
    """The scores that are not excluded, in falling order, and their token ids; as wide as the row with most of them."""
    candidates = scores.topk(max(1, int((scores > EXCLUDED).sum(dim=-1).max())))
    return candidates.values, candidates.indices


def draw(scores: Tensor, uniform: Tensor) -> Tensor:
    """Sample an index per row, (batch,), by inverting the distribution function.

    uniform: (batch,), random numbers in [0, 1), float32. One per row decides, and scores that differ by rounding give
    the same index but for rare cases, so that a draw does not depend on the rest of the batch. Excluded tokens are
    never drawn. The index is -1 where the scores are not numbers.
    """
    distribution = scores.softmax(dim=-1).cumsum(dim=-1)
    total = distribution[:, -1]
    index = torch.searchsorted(distribution, (uniform * total)[:, None], right=True).squeeze(-1)
    return index.masked_fill(total.isnan(), -1)
