"""From a prompt and settings to new tokens: everything is checked and resolved first, then the decoder runs."""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from zoo.errors import InvalidInput, ZooError
from zoo.generation.decoding import CausalModel, decode
from zoo.generation.output import Generation, GenerationOutput
from zoo.generation.processors import processors_for
from zoo.generation.prompt import TokenIds, make_prompt
from zoo.generation.settings import DEFAULT_MAX_NEW_TOKENS, GenerationSettings
from zoo.generation.stopping import FinishReason, StopRules
from zoo.generation.strategies import strategy_for
from zoo.generation.transcript import TextDecoder, Transcript
from zoo.interfaces.config import Config

__all__ = ["Run", "TextCodec", "check_prompts", "generate", "resolve_settings", "start", "stop_rules"]


class TextCodec(Protocol):
    """What generation needs of a text preprocessor: `zoo.preprocess.text.TextPreprocessor` is one."""

    @property
    def eos_token_id(self) -> int | None:
        """The token that ends a text."""
        ...

    @property
    def pad_token_id(self) -> int | None:
        """The token that fills a batch."""
        ...

    @property
    def special_token_ids(self) -> Collection[int]:
        """The tokens that decoding leaves out of the text."""
        ...

    def end_of_turn_ids(self) -> Collection[int]:
        """The tokens that end a turn in the chat template."""
        ...

    def encode(self, text: str, *, add_special_tokens: bool = True) -> list[int]:
        """Text to token ids; special tokens that are written out in it are recognised."""
        ...

    def stream_decoder(self) -> TextDecoder:
        """A new decoder of token ids that come one by one."""
        ...


@dataclass(frozen=True)
class Run:
    """A generation under way: a transcript per prompt, and the steps that fill them.

    steps: to be taken one by one, until they end; or closed, to give up.
    """

    transcripts: tuple[Transcript, ...]
    prompt_tokens: tuple[int, ...]
    settings: GenerationSettings
    steps: Generator[None, None, None]

    def finish(self) -> None:
        """Take all steps that are left."""
        for _ in self.steps:
            pass

    def generations(self) -> list[Generation]:
        """One record per prompt. All transcripts must have ended."""
        return [
            Generation(
                text=transcript.text,
                token_ids=tuple(transcript.token_ids),
                finish_reason=_reason(transcript),
                prompt_tokens=prompt_tokens,
                logprobs=tuple(transcript.logprobs) if self.settings.logprobs else None,
            )
            for transcript, prompt_tokens in zip(self.transcripts, self.prompt_tokens, strict=True)
        ]


def generate(
    model: CausalModel,
    input_ids: TokenIds,
    attention_mask: Tensor | None = None,
    *,
    preprocessor: TextCodec | None = None,
    **settings: Any,
) -> GenerationOutput:
    """Generate for a batch of token ids.

    input_ids: (batch, length), or lists of any lengths. attention_mask: of the same shape, nonzero where a token is
    real, with padding on the left. preprocessor: knows the end of a turn, and the text in which stop strings are looked
    for. settings: see GenerationSettings; they beat the model's own. Raises InvalidInput before anything is computed.
    """
    run = start(model, input_ids, attention_mask, resolve_settings(model, settings), preprocessor)
    run.finish()
    return GenerationOutput(
        token_ids=tuple(tuple(transcript.token_ids) for transcript in run.transcripts),
        finish_reasons=tuple(_reason(transcript) for transcript in run.transcripts),
        prompt_tokens=run.prompt_tokens,
        logprobs=tuple(tuple(transcript.logprobs) for transcript in run.transcripts) if run.settings.logprobs else None,
        pad_token_id=_pad_token_id(run.settings, preprocessor),
    )


def start(
    model: CausalModel,
    input_ids: TokenIds,
    attention_mask: Tensor | None,
    settings: GenerationSettings,
    preprocessor: TextCodec | None = None,
    *,
    decoders: Sequence[TextDecoder] | None = None,
) -> Run:
    """Check everything and prepare the steps, without taking one.

    decoders: one per prompt, where the text of the transcripts is wanted.
    """
    if settings.stop and preprocessor is None:
        raise InvalidInput(
            "Stop strings are looked for in the text, which only a preprocessor makes of tokens.",
            hint="Pass preprocessor=..., which `zoo.load` returns beside the model.",
        )
    prompt = make_prompt(
        input_ids,
        attention_mask,
        device=next(model.backbone.parameters()).device,
        vocab_size=_stated(model.config, "vocab_size"),
    )
    limits = check_prompts(settings, prompt.lengths, model.config)
    rules = stop_rules(settings, preprocessor)
    if decoders is None and preprocessor is not None and settings.stop:
        decoders = [preprocessor.stream_decoder() for _ in limits]
    wanted: Sequence[TextDecoder | None] = decoders if decoders is not None else [None] * len(limits)
    transcripts = tuple(Transcript(rules, limit, decoder) for limit, decoder in zip(limits, wanted, strict=True))
    steps = decode(
        model,
        prompt,
        transcripts,
        strategy_for(settings, len(limits)),
        processors_for(settings, prompt, rules.ending_ids),
        max_new_tokens=max(limits),
        logprobs=settings.logprobs,
    )
    return Run(transcripts, prompt.lengths, settings, steps)


def resolve_settings(model: CausalModel, explicit: Mapping[str, Any]) -> GenerationSettings:
    """Explicit settings over those of the model's generation_config.json, over those of its config.json, over defaults.

    Raises InvalidInput for explicit settings, ConfigError and UnsupportedFeature for the model's.
    """
    of_config = {name: _stated(model.config, name) for name in ("eos_token_id", "pad_token_id")}
    of_model = {name: value for name, value in model.generation_config.items() if value is not None}
    settings = GenerationSettings.from_hub({**of_config, **of_model}).override(**explicit)
    settings.require_supported()
    return settings


def stop_rules(settings: GenerationSettings, preprocessor: TextCodec | None) -> StopRules:
    """What ends a text, by the settings and, where they say nothing, by the tokenizer."""
    eos = settings.eos_token_id
    if eos is None and preprocessor is not None and preprocessor.eos_token_id is not None:
        eos = (preprocessor.eos_token_id,)
    turn = preprocessor.end_of_turn_ids() if preprocessor is not None and settings.stop_at_end_of_turn else ()
    return StopRules(
        eos_token_ids=frozenset(eos or ()),
        end_of_turn_ids=frozenset(turn),
        string_ids=frozenset(_special_tokens(settings.stop, preprocessor)) if preprocessor is not None else frozenset(),
        strings=settings.stop,
    )


def check_prompts(settings: GenerationSettings, prompt_lengths: Sequence[int], config: Config) -> list[int]:
    """How many new tokens each prompt may get.

    Raises InvalidInput for prompts that leave no room for any, and where there are not as many seeds as prompts.
    """
    if isinstance(settings.seed, tuple) and len(settings.seed) != len(prompt_lengths):
        raise InvalidInput(
            f"seed: expected one, or one for each of {len(prompt_lengths)} prompts; found {len(settings.seed)}."
        )
    context = settings.context_length or _stated(config, "max_position_embeddings")
    limits = []
    for index, length in enumerate(prompt_lengths):
        room = None if context is None else context - length
        if room is not None and room < 1:
            excess = "more than" if room < 0 else "which leaves no room in"
            raise InvalidInput(
                f"Prompt {index} has {length} tokens, {excess} the model's context of {context}.",
                hint="Shorten it. If the model can use more positions than its config.json says, pass context_length.",
            )
        limit = settings.max_new_tokens or DEFAULT_MAX_NEW_TOKENS
        if settings.max_length is not None:
            limit = settings.max_length - length
            if limit < 1:
                raise InvalidInput(
                    f"Prompt {index} has {length} tokens, which leaves no room in max_length, {settings.max_length}.",
                    hint="max_length counts the prompt, too; pass max_new_tokens to limit only what is new.",
                )
        limits.append(limit if room is None else min(limit, room))
    return limits


def _pad_token_id(settings: GenerationSettings, preprocessor: TextCodec | None) -> int:
    if settings.pad_token_id is not None:
        return settings.pad_token_id
    if preprocessor is not None and preprocessor.pad_token_id is not None:
        return preprocessor.pad_token_id
    return settings.eos_token_id[0] if settings.eos_token_id else 0


def _reason(transcript: Transcript) -> FinishReason:
    if transcript.finish_reason is None:
        raise ZooError("The generation has not ended.", hint="Take all its steps, or cancel it.")
    return transcript.finish_reason


def _special_tokens(strings: Sequence[str], preprocessor: TextCodec) -> Iterator[int]:
    """The ids of the strings that are special tokens."""
    for string in strings:
        ids = preprocessor.encode(string, add_special_tokens=False)
        if len(ids) == 1 and ids[0] in preprocessor.special_token_ids:
            yield ids[0]


def _stated(config: Config, name: str) -> Any:
    """What a configuration says, as a field or in its config.json; None when it says nothing."""
    value = getattr(config, name, None)
    return config.to_hub().get(name) if value is None else value
