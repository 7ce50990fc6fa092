"""The configuration of the head. Torch-free."""

from __future__ import annotations

from dataclasses import dataclass

from zoo.interfaces import TypedConfig

__all__ = ["TinytaskConfig"]


@dataclass(frozen=True, kw_only=True)
class TinytaskConfig(TypedConfig):
    """initializer_range: the standard deviation of the first weights."""

    initializer_range: float = 0.02

    def validate(self) -> None:
        if self.initializer_range < 0:
            raise self.invalid("initializer_range", f"must not be negative, found {self.initializer_range}")
