"""Number for number what transformers' logits processors do; and draws that follow the distribution."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers.generation.logits_process import (
    MinNewTokensLengthLogitsProcessor,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from zoo.generation import GenerationSettings
from zoo.generation.processors import processors_for
from zoo.generation.prompt import make_prompt
from zoo.generation.sampling import (
    apply_min_p,
    apply_repetition_penalty,
    apply_temperature,
    apply_top_k,
    apply_top_p,
    draw,
    narrow_to_candidates,
)
from zoo.generation.strategies import Greedy, Sampling, strategy_for

NO_IDS = torch.empty(0, 0, dtype=torch.long)


def scores_of(kind: str) -> Tensor:
    generator = torch.Generator().manual_seed(7)
    scores = torch.randn(6, 500, generator=generator) * 3
    if kind == "ties":
        return scores.round()
    if kind == "peaked":
        return scores * 20
    if kind == "flat":
        return scores * 1e-3
    if kind == "already narrowed":
        return scores.masked_fill(scores < 3, float("-inf"))
    return scores


KINDS = ["plain", "peaked", "flat", "already narrowed"]


@pytest.mark.parametrize("kind", [*KINDS, "ties"])
@pytest.mark.parametrize("k", [1, 2, 17, 499, 500, 1000])
def test_top_k(kind: str, k: int) -> None:
    scores = scores_of(kind)
    assert torch.equal(apply_top_k(scores, k), TopKLogitsWarper(k)(NO_IDS, scores))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("p", [0.0, 0.01, 0.3, 0.5, 0.9, 0.95, 0.999])
def test_top_p(kind: str, p: float) -> None:
    scores = scores_of(kind)
    assert torch.equal(apply_top_p(scores, p), TopPLogitsWarper(p)(NO_IDS, scores))


@pytest.mark.parametrize("p", [0.3, 0.9])
def test_top_p_keeps_as_many_of_equal_tokens(p: float) -> None:
    """Which of equal tokens stay depends on how a sort orders them; how many stay, and their scores, does not."""
    scores = scores_of("ties")
    ours, theirs = apply_top_p(scores, p), TopPLogitsWarper(p)(NO_IDS, scores)
    assert torch.equal(ours.sort().values, theirs.sort().values)


@pytest.mark.parametrize("kind", [*KINDS, "ties"])
@pytest.mark.parametrize("p", [0.0, 0.02, 0.3, 1.0])
def test_min_p(kind: str, p: float) -> None:
    scores = scores_of(kind)
    assert torch.equal(apply_min_p(scores, p), MinPLogitsWarper(p)(NO_IDS, scores))


@pytest.mark.parametrize("temperature", [0.1, 0.7, 1.5])
def test_temperature(temperature: float) -> None:
    scores = scores_of("plain")
    assert torch.equal(apply_temperature(scores, temperature), TemperatureLogitsWarper(temperature)(NO_IDS, scores))


@pytest.mark.parametrize("penalty", [0.8, 1.3])
def test_repetition_penalty(penalty: float) -> None:
    scores, ids = scores_of("plain"), torch.randint(0, 500, (6, 40), generator=torch.Generator().manual_seed(1))
    seen = torch.zeros(6, 500, dtype=torch.bool).scatter_(1, ids, True)
    assert torch.equal(
        apply_repetition_penalty(scores, seen, penalty), RepetitionPenaltyLogitsProcessor(penalty)(ids, scores)
    )


def test_processors_see_the_prompt_without_padding_and_every_new_token() -> None:
    mask = torch.tensor([[0, 0, 1, 1], [1, 1, 1, 1]])
    ids = torch.tensor([[0, 0, 5, 6], [1, 2, 3, 499]])
    prompt = make_prompt(ids, mask, device=torch.device("cpu"))
    settings = GenerationSettings(repetition_penalty=1.4, min_new_tokens=2)
    processors = processors_for(settings, prompt, [8, 9])
    theirs = [
        RepetitionPenaltyLogitsProcessor(1.4, prompt_ignore_length=torch.tensor([2, 0])),
        MinNewTokensLengthLogitsProcessor(4, 2, torch.tensor([8, 9])),
    ]
    for step in range(4):
        scores = scores_of("plain")[step : step + 2]
        ours, expected = scores, scores
        for process in processors:
            ours = process(ours)
        for process in theirs:
            expected = process(ids, expected)
        assert torch.equal(ours, expected)
        chosen = torch.tensor([10 + step, 20 + step])
        for process in processors:
            process.observe(chosen)
        ids = torch.cat([ids, chosen[:, None]], dim=1)


def test_narrowing_keeps_exactly_what_is_not_excluded() -> None:
    scores = apply_top_k(scores_of("ties"), 5)
    values, ids = narrow_to_candidates(scores)
    assert values.shape[1] == (scores > float("-inf")).sum(-1).max()
    restored = torch.full_like(scores, float("-inf")).scatter(1, ids, values)
    assert torch.equal(restored, scores)


def probabilities_by_transformers(scores: Tensor, settings: dict[str, Any]) -> Tensor:
    """In the order of transformers' generate."""
    order: list[tuple[str, Callable[[Any], Any]]] = [
        ("temperature", TemperatureLogitsWarper),
        ("top_k", TopKLogitsWarper),
        ("top_p", TopPLogitsWarper),
        ("min_p", MinPLogitsWarper),
    ]
    for name, warper in order:
        if name in settings:
            scores = warper(settings[name])(NO_IDS, scores)
    return scores.softmax(-1)


@pytest.mark.parametrize(
    "settings",
    [
        {"temperature": 0.7},
        {"temperature": 1.3, "top_k": 20},
        {"top_p": 0.8},
        {"min_p": 0.1},
        {"temperature": 1.5, "top_k": 30, "top_p": 0.9, "min_p": 0.05},
    ],
)
def test_sampling_draws_each_token_over_its_share_of_the_unit_interval(
    settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the random numbers replaced by an even grid, how often a token comes up is its probability, to within
    the grid.
    """
    points = 20000
    row = scores_of("plain")[:1, :100]
    sampling = Sampling(GenerationSettings(do_sample=True, **settings), None)
    grid = (torch.arange(points) + 0.5) / points
    monkeypatch.setattr(sampling, "_uniform", lambda count: grid)
    tokens = sampling.choose(row.expand(points, -1))
    shares = torch.bincount(tokens, minlength=100) / points
    expected = probabilities_by_transformers(row, settings)[0]
    torch.testing.assert_close(shares, expected, atol=1.5 / points, rtol=0)


def test_the_ends_of_the_unit_interval_draw_no_excluded_token() -> None:
    scores = torch.full((1, 8), float("-inf"))
    scores[0, [3, 5]] = torch.tensor([0.1, 0.7])
    assert draw(scores, torch.tensor([0.0])).item() == 3
    assert draw(scores, torch.tensor([1 - 2**-24])).item() == 5


def test_draws_tell_scores_that_are_not_numbers() -> None:
    scores = torch.tensor([[0.0, float("nan"), 1.0], [0.0, 1.0, 2.0]])
    assert (draw(scores, torch.tensor([0.5, 0.5])) < 0).tolist() == [True, False]
    assert (Greedy().choose(scores) < 0).tolist() == [True, False]


class TestSeeds:
    SETTINGS = GenerationSettings(do_sample=True, temperature=1.0)

    def draws(self, seed: int | tuple[int, ...] | None, batch: int) -> list[list[int]]:
        strategy = strategy_for(self.SETTINGS.replace(seed=seed), batch)
        scores = scores_of("plain")[:1].expand(batch, -1)
        return [strategy.choose(scores).tolist() for _ in range(8)]

    def test_the_same_seed_draws_the_same_in_every_row_of_every_batch(self) -> None:
        alone = [row[0] for row in self.draws(5, 1)]
        assert all([row[index] for row in self.draws(5, 3)] == alone for index in range(3))
        assert alone != [row[0] for row in self.draws(6, 1)]

    def test_a_seed_per_row(self) -> None:
        first, second = zip(*self.draws((5, 6), 2), strict=True)
        assert list(first) == [row[0] for row in self.draws(5, 1)]
        assert list(second) == [row[0] for row in self.draws(6, 1)]

    def test_without_a_seed_torchs_own_generator_decides(self) -> None:
        torch.manual_seed(0)
        first = self.draws(None, 2)
        assert first != self.draws(None, 2)
        torch.manual_seed(0)
        assert first == self.draws(None, 2)
