"""The decoding loop.

A decoder is a generator function. Given a model, prompts and one transcript per prompt, it pushes new tokens into the
transcripts and yields after every step, until all transcripts have ended. That is all its callers know, so that one
which pushes several tokens in a step (speculation), or none until the last (beam search), takes the place of this one
without a change to them.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from zoo.errors import UnsupportedFeature, ZooError
from zoo.generation.cache import BLOCK, KVCache
from zoo.generation.processors import LogitsProcessor
from zoo.generation.prompt import Prompt
from zoo.generation.strategies import Strategy
from zoo.generation.transcript import Transcript
from zoo.interfaces.config import Config
from zoo.interfaces.model import Model

__all__ = ["CausalModel", "decode"]


class ScoredTokens(Protocol):
    """The output of a CausalModel. logits: (batch, positions, vocabulary)."""

    @property
    def logits(self) -> Tensor:
        """The scores of the next token, at each position that was asked for."""
        ...


class CausalModel(Protocol):
    """What decoding needs of a model: `tasks.text_generation.CausalLanguageModel` is one."""

    @property
    def backbone(self) -> Model:
        """Says what its cache is to hold, and where its parameters are."""
        ...

    @property
    def config(self) -> Config:
        """The backbone's configuration."""
        ...

    @property
    def generation_config(self) -> Mapping[str, Any]:
        """The contents of the model's generation_config.json; empty when there is none."""
        ...

    def __call__(self, inputs: Mapping[str, Any], *, last: int) -> ScoredTokens:
        """inputs: the backbone's keyword arguments. last: how many positions, from the end, to score."""
        ...


@torch.inference_mode()
def decode(
    model: CausalModel,
    prompt: Prompt,
    transcripts: Sequence[Transcript],
    strategy: Strategy,
    processors: Sequence[LogitsProcessor] = (),
    *,
    max_new_tokens: int,
    logprobs: bool = False,
) -> Generator[None, None, None]:
    """Generate one token per open transcript and step, with a key-value cache.

    max_new_tokens: the most that any of the transcripts will take. logprobs: push the log-probability of each token,
    too. Rows whose transcript has ended leave the batch once they are half of it; before that they are computed along,
    which costs less than copying the cache every time.
    """
    spec = model.backbone.cache_spec()
    if spec is None:
        raise UnsupportedFeature(f"{type(model.backbone).__name__} has no cache_spec, so it can't decode step by step.")
    prompt_length = prompt.input_ids.shape[1]
    cache = KVCache(spec, prompt_length + min(max_new_tokens, BLOCK))
    real = _with_room(prompt.mask, max_new_tokens)
    rows = list(range(len(transcripts)))  # which transcript each row of the batch belongs to
    inputs, positions = prompt.input_ids, prompt.positions()
    while True:
        seen = None if real is None else real.narrow(1, 0, cache.length + inputs.shape[1])
        output = model({"input_ids": inputs, "attention_mask": seen, "positions": positions, "cache": cache}, last=1)
        logits = scores = output.logits[:, -1]
        if processors:
            scores = logits.float()
            for process in processors:
                scores = process(scores)
        tokens = strategy.choose(scores)
        chosen = tokens.tolist()
        scored = _logprobs(logits, tokens) if logprobs else [None] * len(chosen)
        for row, token_id, logprob in zip(rows, chosen, scored, strict=True):
            if token_id < 0:
                raise ZooError(
                    "The model's scores are not numbers (NaN), so no token can be chosen.",
                    hint="Its dtype may be too narrow: load it with dtype='float32'. Otherwise its weights are broken.",
                )
            transcripts[row].push(token_id, logprob)
        yield
        still_open = [index for index, row in enumerate(rows) if transcripts[row].is_open]
        if not still_open:
            return
        for process in processors:
            process.observe(tokens)
        if positions is not None:
            positions = positions[:, -1:] + 1
        if 2 * len(still_open) <= len(rows):
            kept = torch.tensor(still_open, device=tokens.device)
            cache.reorder(kept)
            strategy.reorder(kept)
            for process in processors:
                process.reorder(kept)
            rows = [rows[index] for index in still_open]
            tokens = tokens[kept]
            real, positions = (None if part is None else part[kept] for part in (real, positions))
        inputs = tokens[:, None]


def _with_room(mask: Tensor | None, count: int) -> Tensor | None:
    """The mask with as many real positions appended, so that a step takes a view of it instead of making a new one."""
    return None if mask is None else torch.cat([mask, mask.new_ones(len(mask), count)], dim=1)


def _logprobs(logits: Tensor, tokens: Tensor) -> list[float]:
    """The log-probability of each row's token under the model's own distribution."""
    scored = logits.float().log_softmax(dim=-1).gather(1, tokens.clamp(min=0)[:, None])
    values: list[float] = scored.squeeze(1).tolist()
    return values
