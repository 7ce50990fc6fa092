"""The configurations of the heads that the core brings. Torch-free, since layouts read and write them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from zoo.errors import ConfigError
from zoo.interfaces.config import TypedConfig
from zoo.interfaces.labels import MAX_LABELS
from zoo.interfaces.shown import shown

__all__ = [
    "CausalLMHeadConfig",
    "ImageClassifierConfig",
    "LastTokenClassifierConfig",
    "labels_from_hub",
]


@dataclass(frozen=True, kw_only=True)
class CausalLMHeadConfig(TypedConfig):
    """vocab_size: how many tokens are scored. tied: whether the weight is the backbone's input embedding."""

    vocab_size: int
    tied: bool = False
    bias: bool = False
    initializer_range: float = 0.02

    def validate(self) -> None:
        self.require_positive("vocab_size")


@dataclass(frozen=True, kw_only=True)
class LastTokenClassifierConfig(TypedConfig):
    """labels: their names, in the order of the scores; as in the reference, several scores may go by one name.
    pad_token_id: marks padding, also when no mask is given.
    """

    labels: tuple[str, ...] = ("LABEL_0", "LABEL_1")
    pad_token_id: int | None = None
    initializer_range: float = 0.02

    def validate(self) -> None:
        if not self.labels:
            raise self.invalid("labels", "must name at least one label")
        if self.pad_token_id is not None and not -(2**63) <= self.pad_token_id < 2**63:
            raise self.invalid("pad_token_id", "is no id that a 64-bit integer holds")


@dataclass(frozen=True, kw_only=True)
class ImageClassifierConfig(TypedConfig):
    """labels: their names, in the order of the scores; ImageNet's has two that are called "crane"."""

    labels: tuple[str, ...] = ("LABEL_0", "LABEL_1")
    initializer_range: float = 0.02

    def validate(self) -> None:
        if not self.labels:
            raise self.invalid("labels", "must name at least one label")


def labels_from_hub(values: Mapping[str, Any]) -> tuple[str, ...]:
    """The labels that a config.json states: `id2label` in the order of its numbers or, without it, `num_labels` unnamed
    ones, which are two by default. Raises ConfigError naming the field.
    """
    stated = values.get("id2label")
    if stated is None:
        count = values.get("num_labels", 2)
        if not isinstance(count, int) or isinstance(count, bool) or not 0 < count <= MAX_LABELS:
            raise ConfigError(f"field 'num_labels': expected an int from 1 to {MAX_LABELS}, found {shown(count)}.")
        return tuple(f"LABEL_{index}" for index in range(count))
    if not isinstance(stated, Mapping):
        raise ConfigError(f"field 'id2label': expected an object, found {type(stated).__name__}.")
    named = {str(index): label for index, label in stated.items()}
    numbers = [str(index) for index in range(len(stated))]
    wrong = [number for number in numbers if not isinstance(named.get(number), str)]
    if not numbers or wrong:
        found = f"no text under {wrong[0]!r}" if wrong else "none"
        raise ConfigError(
            f"field 'id2label': expected a text under each number from '0' to '{len(stated) - 1}', found {found}."
        )
    return tuple(named[number] for number in numbers)
