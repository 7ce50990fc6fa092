"""What is asked for, in terms of a model and its tokenizer: settings, what ends a text, how long it may be."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Protocol

from zoo.errors import InvalidInput
from zoo.generation.decoding import CausalModel
from zoo.generation.settings import DEFAULT_MAX_NEW_TOKENS, GenerationSettings
from zoo.generation.stopping import StopRules
from zoo.generation.transcript import TextDecoder
from zoo.interfaces.config import Config

__all__ = ["TextCodec", "check_prompts", "pad_token_id", "resolve_settings", "stated", "stop_rules"]


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


def resolve_settings(model: CausalModel, explicit: Mapping[str, Any]) -> GenerationSettings:
    """Explicit settings over those of the model's generation_config.json, over those of its config.json, over defaults.

    Raises InvalidInput for explicit settings, ConfigError and UnsupportedFeature for the model's.
    """
    of_config = {name: stated(model.config, name) for name in ("eos_token_id", "pad_token_id")}
    GenerationSettings.of_file("config.json", of_config)  # lest the other file be blamed for what is wrong in this one
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
    context = settings.context_length or stated(config, "max_position_embeddings")
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
        if settings.max_length is not None and settings.max_new_tokens is None:
            limit = settings.max_length - length
            if limit < 1:
                raise InvalidInput(
                    f"Prompt {index} has {length} tokens, which leaves no room in max_length, {settings.max_length}.",
                    hint="max_length counts the prompt, too; pass max_new_tokens to limit only what is new.",
                )
        limits.append(limit if room is None else min(limit, room))
    return limits


def pad_token_id(settings: GenerationSettings, preprocessor: TextCodec | None) -> int:
    """What fills up the rows of a batch of results: by the settings, else by the tokenizer, else an end of text."""
    if settings.pad_token_id is not None:
        return settings.pad_token_id
    if preprocessor is not None and preprocessor.pad_token_id is not None:
        return preprocessor.pad_token_id
    return settings.eos_token_id[0] if settings.eos_token_id else 0


def stated(config: Config, name: str) -> Any:
    """What a configuration says, as a field or in its config.json; None when it says nothing."""
    value = getattr(config, name, None)
    return config.to_hub().get(name) if value is None else value


def _special_tokens(strings: Sequence[str], preprocessor: TextCodec) -> Iterator[int]:
    """The ids of the strings that are special tokens."""
    for string in strings:
        ids = preprocessor.encode(string, add_special_tokens=False)
        if len(ids) == 1 and ids[0] in preprocessor.special_token_ids:
            yield ids[0]
