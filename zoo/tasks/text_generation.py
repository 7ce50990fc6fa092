"""Text generation: the head that scores the next token, the model that joins it to a backbone, and the pipeline."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, overload

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.errors import InvalidInput, PreprocessorError
from zoo.generation.continuation import ContinuingDecoder
from zoo.generation.output import Generation, GenerationOutput
from zoo.generation.prompt import TokenIds
from zoo.generation.resolution import TextCodec, check_prompts, resolve_settings
from zoo.generation.run import Run, generate, start
from zoo.generation.settings import GenerationSettings
from zoo.generation.streaming import TextStream
from zoo.interfaces.cache import Cache
from zoo.interfaces.feature_spec import FeatureSpec
from zoo.interfaces.features import Features
from zoo.interfaces.head import Head
from zoo.interfaces.pytree import register_pytree
from zoo.interfaces.shown import shown
from zoo.interfaces.task_model import ComposedTaskModel
from zoo.tasks.counts import require_count
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
    """Scores of the next token: a linear map, which may share the input embedding (Press & Wolf, 2017)."""

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
        """target: (batch, length) token ids, -100 where nothing is to be predicted; position t is scored with t + 1."""
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

        attention_mask: of the same shape, nonzero where a token is real; padding is on the left. stop: strings that end
        a text; they need the preprocessor, which also knows the end of a turn. settings: those of
        `zoo.generation.GenerationSettings`.
        """
        return generate(self, input_ids, attention_mask, stop=stop, preprocessor=preprocessor, **settings)


Chat = Sequence[Mapping[str, Any]]
"""Messages, {"role": ..., "content": ...} each."""

ChatOptions = Mapping[str, Any]
"""For the chat template, by name; see `TextPreprocessor.apply_chat_template`."""

_NO_CHAT_OPTIONS = ("self", "items", "messages", "add_special_tokens")
"""What the pipeline says to the preprocessor itself."""


class TextGenerationPipeline:
    """Continues texts and answers chats: `pipe("The capital of France is", max_new_tokens=8).text`.

    settings: those of `zoo.generation.GenerationSettings`; what is not given is the model's own. chat_options: for the
    chat template, e.g. {"tools": [...]}; see `TextPreprocessor.apply_chat_template`.
    """

    def __init__(self, model: CausalLanguageModel, preprocessor: TextPreprocessor | None) -> None:
        if preprocessor is None:
            raise PreprocessorError(
                "The checkpoint has no tokenizer, which text-generation needs.",
                hint="Copy tokenizer.json and tokenizer_config.json into its directory, or use model.generate.",
            )
        self.model = model
        self.preprocessor = preprocessor

    @overload
    def __call__(
        self,
        prompts: str | Chat,
        *,
        batch_size: int = 8,
        chat_options: ChatOptions | None = None,
        **settings: Any,
    ) -> Generation: ...
    @overload
    def __call__(
        self,
        prompts: Iterable[str | Chat],
        *,
        batch_size: int = 8,
        chat_options: ChatOptions | None = None,
        **settings: Any,
    ) -> list[Generation]: ...
    def __call__(
        self,
        prompts: str | Chat | Iterable[str | Chat],
        *,
        batch_size: int = 8,
        chat_options: ChatOptions | None = None,
        **settings: Any,
    ) -> Generation | list[Generation]:
        """A text or a chat gives one Generation; several of them a list in the same order, batch_size at a time.

        Raises InvalidInput for an empty or too long prompt, naming its place in the list, before anything is computed.
        """
        require_count("batch_size", batch_size)
        resolved = resolve_settings(self.model, settings)
        given, single = _as_list(prompts)
        generations = self._generate(self._prepare(given, chat_options), resolved, batch_size)
        return generations[0] if single else generations

    def stream(self, prompt: str | Chat, *, chat_options: ChatOptions | None = None, **settings: Any) -> TextStream:
        """The pieces of one text as they are generated; the stream's `generation` is the whole, when it has ended."""
        given, single = _as_list(prompt)
        if not single:
            raise InvalidInput("A stream is of one text or chat.", hint="Call the pipeline itself for several.")
        resolved = resolve_settings(self.model, settings)
        return TextStream(self._start(self._prepare(given, chat_options), resolved))

    def check_settings(self, *, batch_size: int = 8, chat_options: ChatOptions | None = None, **settings: Any) -> None:
        """Raise InvalidInput for settings that a call would refuse whatever the prompts are."""
        require_count("batch_size", batch_size)
        _check_chat_options(chat_options)
        resolve_settings(self.model, settings)

    def _prepare(self, prompts: list[str | Chat], chat_options: ChatOptions | None) -> list[_Prepared]:
        if "" in prompts:  # which is more than no tokens to a tokenizer that puts one before every text
            raise InvalidInput(f"items[{prompts.index('')}] is an empty prompt: there is nothing to continue.")
        _check_chat_options(chat_options)
        items = self.preprocessor(prompts, **(chat_options or {}))
        return [
            _Prepared(item.ids, is_chat=not isinstance(prompt, str))
            for prompt, item in zip(prompts, items, strict=True)
        ]

    def _generate(self, prompts: list[_Prepared], settings: GenerationSettings, batch_size: int) -> list[Generation]:
        """Batches are of prompts of similar length, so that little is padded."""
        check_prompts(settings, [len(prompt.ids) for prompt in prompts], self.model.config)
        by_length = sorted(range(len(prompts)), key=lambda index: len(prompts[index].ids))
        generations: dict[int, Generation] = {}
        for first in range(0, len(prompts), batch_size):
            batch = by_length[first : first + batch_size]
            run = self._start([prompts[index] for index in batch], settings.for_rows(batch))
            run.finish()
            generations.update(zip(batch, run.generations(), strict=True))
        return [generations[index] for index in range(len(prompts))]

    def _start(self, prompts: list[_Prepared], settings: GenerationSettings) -> Run:
        ids = [prompt.ids for prompt in prompts]
        make = self.preprocessor.stream_decoder
        decoders = [make() if prompt.is_chat else ContinuingDecoder(make, prompt.ids) for prompt in prompts]
        return start(self.model, ids, None, settings, self.preprocessor, decoders=decoders)


@dataclass(frozen=True)
class _Prepared:
    """A prompt's token ids. is_chat: whether the new text is a reply, and no continuation of what is there."""

    ids: tuple[int, ...]
    is_chat: bool


def _check_chat_options(options: object) -> None:
    if options is None:
        return
    if not isinstance(options, Mapping) or not all(isinstance(name, str) for name in options):
        raise InvalidInput(f"chat_options: expected a dict of options by name, found {shown(options)}.")
    for name in _NO_CHAT_OPTIONS:
        if name in options:
            raise InvalidInput(
                f"chat_options: {name!r} is no option of a chat template.",
                hint="Pass the messages themselves as the prompt." if name == "messages" else None,
            )


def _as_list(prompts: Any) -> tuple[list[str | Chat], bool]:
    """The texts and chats as a list, and whether it was one by itself. A list of messages is one chat."""
    if isinstance(prompts, str):
        return [prompts], True
    if isinstance(prompts, (Mapping, bytes)) or not isinstance(prompts, Iterable):
        raise InvalidInput(
            f"Expected a text, a chat (a list of messages), or a list of these; found {type(prompts).__name__}."
        )
    several = list(prompts)
    if several and all(isinstance(message, Mapping) for message in several):
        return [several], True
    return several, False
