"""The settings of a generation: what may be asked for, what a model says itself, and what beats what. Torch-free."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from zoo.errors import ConfigError, InvalidInput, UnsupportedFeature
from zoo.interfaces.config import TypedConfig

__all__ = ["DEFAULT_MAX_NEW_TOKENS", "GenerationSettings"]

DEFAULT_MAX_NEW_TOKENS = 512
"""How many tokens are generated at most when neither the caller nor the model's generation_config.json sets a limit."""

_SHAPING = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0}
"""The settings that only sampling knows, and the values at which they do nothing."""

_UNSUPPORTED: Mapping[str, Any] = {
    "bad_words_ids": None,
    "begin_suppress_tokens": None,
    "diversity_penalty": 0.0,
    "dola_layers": None,
    "encoder_no_repeat_ngram_size": 0,
    "encoder_repetition_penalty": 1.0,
    "epsilon_cutoff": 0.0,
    "eta_cutoff": 0.0,
    "exponential_decay_length_penalty": None,
    "forced_bos_token_id": None,
    "forced_eos_token_id": None,
    "guidance_scale": 1.0,
    "max_time": None,
    "min_length": 0,
    "no_repeat_ngram_size": 0,
    "num_beam_groups": 1,
    "num_beams": 1,
    "num_return_sequences": 1,
    "penalty_alpha": 0.0,
    "remove_invalid_values": False,
    "sequence_bias": None,
    "suppress_tokens": None,
    "top_h": None,
    "typical_p": 1.0,
    "watermarking_config": None,
}
"""Keys of generation_config.json that change what is generated and are not supported: with values that do nothing."""

_SMALLEST_TEMPERATURE = 1e-6  # below it, scores divided by the temperature leave the range of float32


@dataclass(frozen=True, kw_only=True)
class GenerationSettings(TypedConfig):
    """How to generate. What is not given explicitly is the model's own, from its generation_config.json; then as here.

    do_sample: draw tokens at random; otherwise take the most likely one (greedy).
    temperature: divides the scores; 0 means greedy. To give it, top_k, top_p or min_p is to ask for sampling.
    top_k: only the k most likely tokens; 0 for all (transformers takes 50 where nothing is said).
    top_p: only the likeliest tokens that together have this probability (Holtzman et al., 2020).
    min_p: only tokens at least this fraction as likely as the likeliest (Nguyen et al., 2024).
    repetition_penalty: above 1, makes tokens that have occurred less likely (Keskar et al., 2019).
    min_new_tokens, max_new_tokens: no end before so many, and an end after so many.
    max_length: an end when there are so many with the prompt.
    context_length: the positions that the model can use, where they are not its config.json's max_position_embeddings.
    eos_token_id: the tokens that end a text; given explicitly, no others do.
    stop_at_end_of_turn: end a text also at the token with which the chat template ends a turn.
    pad_token_id: fills the rows of a batch of results. stop: strings that end a text and are cut off it.
    seed: makes sampling reproducible whatever else is in the batch, since each prompt has a generator of its own. Equal
    prompts then give equal texts; a seed for each makes them differ.
    logprobs: report the model's own log-probability of each new token.
    """

    hub_names: ClassVar[Mapping[str, tuple[str, ...]]] = {"stop": ("stop_strings",)}

    do_sample: bool = False
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    min_new_tokens: int = 0
    max_new_tokens: int | None = None
    max_length: int | None = None
    context_length: int | None = None
    eos_token_id: tuple[int, ...] | None = None
    stop_at_end_of_turn: bool = True
    pad_token_id: int | None = None
    stop: tuple[str, ...] = ()
    seed: int | tuple[int, ...] | None = None
    logprobs: bool = False

    def validate(self) -> None:
        if self.temperature != 0 and self.temperature < _SMALLEST_TEMPERATURE:
            raise self.invalid(
                "temperature", f"must be 0 (greedy) or at least {_SMALLEST_TEMPERATURE}, found {self.temperature}"
            )
        if self.top_k < 0:
            raise self.invalid("top_k", f"must be at least 1, or 0 for no limit, found {self.top_k}")
        for name in ("top_p", "min_p"):
            if not 0 <= getattr(self, name) <= 1:
                raise self.invalid(name, f"must be between 0 and 1, found {getattr(self, name)}")
        self.require_positive("repetition_penalty")
        for name in ("max_new_tokens", "max_length", "context_length"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise self.invalid(name, f"must be at least 1, found {getattr(self, name)}")
        if self.min_new_tokens < 0:
            raise self.invalid("min_new_tokens", f"must not be negative, found {self.min_new_tokens}")
        if self.max_new_tokens is not None and self.min_new_tokens > self.max_new_tokens:
            raise self.invalid(
                "min_new_tokens", f"{self.min_new_tokens} is above max_new_tokens, {self.max_new_tokens}"
            )
        for name, ids in (("eos_token_id", self.eos_token_id or ()), ("pad_token_id", (self.pad_token_id or 0,))):
            if min(ids, default=0) < 0:
                raise self.invalid(name, f"token ids are not negative, found {getattr(self, name)}")
        if "" in self.stop:
            raise self.invalid("stop", "a stop string must not be empty")
        seeds = self.seed if isinstance(self.seed, tuple) else (self.seed or 0,)
        if not all(0 <= seed < 2**64 for seed in seeds):
            raise self.invalid("seed", f"must be between 0 and 2^64 - 1, found {self.seed}")

    @property
    def samples(self) -> bool:
        """Whether tokens are drawn at random."""
        return self.do_sample and self.temperature > 0

    @classmethod
    def from_hub(cls, values: Mapping[str, Any]) -> Self:
        """Build from the contents of a generation_config.json. Raises ConfigError naming the field."""
        return cls.of_file("generation_config.json", values)

    @classmethod
    def of_file(cls, name: str, values: Mapping[str, Any]) -> Self:
        """Build from what the model's file of this name says. Raises ConfigError naming file and field."""
        try:
            return super().from_hub(values)
        except ConfigError as error:
            raise ConfigError(f"The model's generation settings ({name}): {error.message}", hint=error.hint) from error

    @classmethod
    def read_hub(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        stated = {name: value for name, value in values.items() if value is not None}
        for name in ("eos_token_id", "pad_token_id"):
            if stated.get(name) == -1:  # how some early Llama files write "none"
                del stated[name]
        return _in_tuples(super().read_hub(stated))

    def override(self, **explicit: Any) -> Self:
        """These settings with the explicit ones over them; None stands for "not given".

        Raises InvalidInput for an unknown setting (with the nearest name), a value out of range, or a contradiction.
        """
        given = _in_tuples({name: value for name, value in explicit.items() if value is not None})
        unsupported = {name: given.pop(name) for name in list(given) if name in _UNSUPPORTED}
        for name, value in unsupported.items():
            if not _is_neutral(name, value):
                raise InvalidInput(f"The setting {name}={value!r} is not supported.")
        self._refuse_unknown(given)
        changes = {**_implied(given), **given, "hub": {**self.hub, **unsupported}}
        try:
            return dataclasses.replace(self, **changes)
        except ConfigError as error:
            raise InvalidInput(error.message, hint=error.hint) from error

    def for_rows(self, rows: Sequence[int]) -> Self:
        """These settings for a batch of some of the prompts, given by their places."""
        return self.replace(seed=tuple(self.seed[row] for row in rows)) if isinstance(self.seed, tuple) else self

    def require_supported(self) -> None:
        """Raise UnsupportedFeature when the model's generation_config.json asks for what is not implemented."""
        for name, neutral in _UNSUPPORTED.items():
            value = self.hub.get(name)
            if not _is_neutral(name, value):
                raise UnsupportedFeature(
                    f"The model's generation_config.json asks for {name}={value!r}, which zoo does not support.",
                    hint=f"Pass {name}={[] if neutral is None else neutral!r} to generate without it.",
                )

    @classmethod
    def _refuse_unknown(cls, given: Mapping[str, Any]) -> None:
        known = [field.name for field in dataclasses.fields(cls) if field.name != "hub"]
        for name in given:
            if name not in known:
                near = difflib.get_close_matches(name, known, n=1)
                hint = f"Did you mean '{near[0]}'?" if near else None
                listing = ", ".join(sorted(known))
                raise InvalidInput(f"There is no generation setting '{name}'; there are: {listing}.", hint=hint)


def _in_tuples(values: dict[str, Any]) -> dict[str, Any]:
    """Single values in place of the lists that they stand for."""
    for name, kind in (("eos_token_id", int), ("stop", str)):
        if isinstance(values.get(name), kind):
            values[name] = (values[name],)
    return values


def _implied(given: Mapping[str, Any]) -> dict[str, Any]:
    """What explicit settings say about settings that were not given."""
    implied: dict[str, Any] = {}
    shaping = {name: given[name] for name in _SHAPING if name in given}
    greedy = shaping.get("temperature") == 0
    if given.get("do_sample") is True and greedy:
        raise InvalidInput("do_sample=True and temperature=0 contradict each other: at temperature 0 nothing is drawn.")
    if given.get("do_sample") is False and not greedy:
        for name, value in shaping.items():
            if value != _SHAPING[name]:
                raise InvalidInput(
                    f"do_sample=False and {name}={value!r} contradict each other: only sampling knows {name}.",
                    hint=f"Leave out {name} for greedy decoding, or do_sample for sampling.",
                )
    if shaping:
        implied["do_sample"] = not greedy
    if "max_new_tokens" in given and "max_length" in given:
        raise InvalidInput("max_new_tokens and max_length both limit the length: give one of them.")
    if "max_new_tokens" in given:
        implied["max_length"] = None
    if "max_length" in given:
        implied["max_new_tokens"] = None
    if "eos_token_id" in given:
        implied["stop_at_end_of_turn"] = False
    return implied


def _is_neutral(name: str, value: Any) -> bool:
    return value is None or value == _UNSUPPORTED[name] or value in ([], {})
