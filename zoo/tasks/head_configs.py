"""The configurations of the heads that the core brings. Torch-free, since layouts read and write them."""

from __future__ import annotations

from dataclasses import dataclass

from zoo.interfaces.config import TypedConfig

__all__ = ["MAX_LABELS", "CausalLMHeadConfig", "LastTokenClassifierConfig"]

MAX_LABELS = 1_000_000
"""More than any head has; a file that says more, or a slip of the hand, shall not make names for hours."""


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
