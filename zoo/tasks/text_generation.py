"""Text generation: the head that scores the next token, the model that joins it to a backbone, and the pipeline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeGuard, overload

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.errors import InvalidInput, PreprocessorError
from zoo.generation.output import Generation, GenerationOutput
from zoo.generation.prompt import TokenIds
from zoo.generation.run import TextCodec, generate, limits_of, resolve_settings, start
from zoo.generation.settings import GenerationSettings
from zoo.generation.streaming import TextStream
from zoo.interfaces.cache import Cache
from zoo.interfaces.feature_spec import FeatureSpec
from zoo.interfaces.features import Features
from zoo.interfaces.head import Head
from zoo.interfaces.pytree import register_pytree
from zoo.interfaces.task_model import ComposedTaskModel
from zoo.tasks.head_configs import CausalLMHeadConfig

if TYPE_CHECKING:
    from zoo.preprocess.text import TextPreprocessor

__all__ = ["CausalLMHead", "CausalLMOutput", "CausalLanguageModel", "TextGenerationPipeline"]


@register_pytree(static=("cache",))
@dataclass
class CausalLMOutput:
    """logits: (batch, positions, vocabulary). loss and its terms when a target was given. cache: as in Features."""

    logits: Tensor
    loss: Tensor | None = None
    losses: dict[str, Tensor] = field(default_factory=dict)
    cache: Cache | None = None


class CausalLMHead(Head):
    """Scores of the next token at each position: a linear map, which may share the input embedding (Press & Wolf, 2017)."""

    config: CausalLMHeadConfig

    def __init__(self, features: tuple[FeatureSpec, ...], config: CausalLMHeadConfig) -> None:
        super().__init__(features, config)
        self.weight = nn.Parameter(torch.empty(config.vocab_size, features[0].channels))
        self.bias = nn.Parameter(torch.empty(config.vocab_size)) if config.bias else None

    def forward(self, features: Features, *, last: int | None = None) -> CausalLMOutput:  # type: ignore[override]
        """features.tokens: (batch, length, channels). last: score only this many positions, from the end."""
        hidden_states = features.tokens
        assert hidden_states is not None
        if last is not None:
            hidden_states = hidden_states[:, -last:]
        return CausalLMOutput(F.linear(hidden_states, self.weight, self.bias), cache=features.cache)

    def shared(self) -> Mapping[str, str]:
        return {"weight": "input_embedding"} if self.config.tied else {}

    def init_weights(self, generator: torch.Generator) -> None:
        if not self.config.tied:
            nn.init.normal_(self.weight, std=self.config.initializer_range, generator=generator)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def count(self, target: Tensor) -> dict[str, Tensor]:
        return {"next_token": (target[:, 1:] != IGNORE_INDEX).sum()}

    def loss(
        self, output: CausalLMOutput, target: Tensor, denominators: Mapping[str, Tensor] | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """target: (batch, length) token ids, -100 where nothing is to be predicted; position t is scored against t + 1."""
        total = (denominators or self.count(target))["next_token"]
        summed = F.cross_entropy(
            output.logits[:, :-1].flatten(0, 1).float(),
            target[:, 1:].flatten(),
            ignore_index=IGNORE_INDEX,
            reduction="sum",
        )
        loss = summed / total.clamp(min=1)
        return loss, {"next_token": loss}


IGNORE_INDEX = -100
"""Targets of this value don't count (the convention of torch and of the Hub)."""


class CausalLanguageModel(ComposedTaskModel):
    """A causal backbone with a CausalLMHead."""

    def generate(
        self,
        input_ids: TokenIds,
        attention_mask: Tensor | None = None,
        *,
        stop: str | Sequence[str] | None = None,
        preprocessor: TextCodec | None = None,
        **settings: Any,
    ) -> GenerationOutput:
        """Generate token ids for a batch of token ids, (batch, length) or lists of any lengths.

        attention_mask: of the same shape, nonzero where a token is real; padding is on the left. stop: strings that end a text; they need
        the preprocessor, which also knows the end of a turn. settings: those of `zoo.generation.GenerationSettings`.
        """
        return generate(self, input_ids, attention_mask, stop=stop, preprocessor=preprocessor, **settings)


Chat = Sequence[Mapping[str, Any]]
"""Messages, {"role": ..., "content": ...} each."""


class TextGenerationPipeline:
    """Continues texts and answers chats: `pipe("The capital of France is", max_new_tokens=8).text`.

    settings: those of `zoo.generation.GenerationSettings`; what is not given is the model's own.
    """

    def __init__(self, model: CausalLanguageModel, preprocessor: TextPreprocessor | None) -> None:
        if preprocessor is None:
            raise PreprocessorError(
                "Text generation needs a tokenizer, and the model was loaded without one.",
                hint="Put tokenizer.json beside its weights, or call model.generate with token ids.",
            )
        self.model = model
        self.preprocessor = preprocessor

    @overload
    def __call__(self, prompts: str | Chat, *, batch_size: int = ..., **settings: Any) -> Generation: ...

    @overload
    def __call__(self, prompts: Sequence[str | Chat], *, batch_size: int = ..., **settings: Any) -> list[Generation]: ...

    def __call__(
        self, prompts: str | Chat | Sequence[str | Chat], *, batch_size: int = 8, **settings: Any
    ) -> Generation | list[Generation]:
        """A text or a chat gives one Generation; a list of them a list, in the same order, computed batch_size at a time.

        Raises InvalidInput for an empty or too long prompt, naming its place in the list, before anything is computed.
        """
        if batch_size < 1:
            raise InvalidInput(f"batch_size: must be at least 1, found {batch_size}.")
        resolved = resolve_settings(self.model, settings)
        if _is_single(prompts):
            return self._generate([self._encode(prompts, 0)], resolved, batch_size)[0]
        return self._generate([self._encode(prompt, index) for index, prompt in enumerate(prompts)], resolved, batch_size)

    def stream(self, prompt: str | Chat, **settings: Any) -> TextStream:
        """The pieces of the text as they are generated; `generation` of the stream is the whole, when it has ended."""
        if not _is_single(prompt):
            raise InvalidInput("A stream is of one text or chat.", hint="Call the pipeline itself for a list of them.")
        resolved = resolve_settings(self.model, settings)
        return TextStream(start(self.model, [self._encode(prompt, 0)], None, resolved, self.preprocessor, with_text=True))

    def _generate(self, ids: list[list[int]], settings: GenerationSettings, batch_size: int) -> list[Generation]:
        limits_of(settings, [len(row) for row in ids], self.model.config)  # refuses what is too long before any work is done
        seeds = settings.seed
        if isinstance(seeds, tuple) and len(seeds) != len(ids):
            raise InvalidInput(f"seed: expected one per prompt, {len(ids)}, or a single one; found {len(seeds)}.")
        by_length = sorted(range(len(ids)), key=lambda index: len(ids[index]))  # so that little is padded
        generations: dict[int, Generation] = {}
        for first in range(0, len(ids), batch_size):
            batch = by_length[first : first + batch_size]
            if isinstance(seeds, tuple):
                settings = settings.replace(seed=tuple(seeds[index] for index in batch))
            run = start(self.model, [ids[index] for index in batch], None, settings, self.preprocessor, with_text=True)
            run.finish()
            generations.update(zip(batch, run.generations(), strict=True))
        return [generations[index] for index in range(len(ids))]

    def _encode(self, prompt: str | Chat, index: int) -> list[int]:
        if isinstance(prompt, str):
            return self.preprocessor.encode(prompt)
        if isinstance(prompt, Sequence) and all(isinstance(message, Mapping) for message in prompt):
            return self.preprocessor.encode_chat(prompt)
        raise InvalidInput(f"Prompt {index}: expected a text or a list of messages, found {type(prompt).__name__}.")


def _is_single(prompts: Any) -> TypeGuard[str | Chat]:
    """Whether it is one text or one chat, not a list of them."""
    if not isinstance(prompts, str | Sequence):
        raise InvalidInput(f"Expected a text, a list of messages, or a list of these, found {type(prompts).__name__}.")
    return isinstance(prompts, str) or (len(prompts) > 0 and all(isinstance(message, Mapping) for message in prompts))
