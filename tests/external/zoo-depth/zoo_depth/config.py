"""The configuration of the head. Torch-free."""

from __future__ import annotations

from dataclasses import dataclass

from zoo.interfaces import TypedConfig

__all__ = ["DepthPyramidConfig"]


@dataclass(frozen=True, kw_only=True)
class DepthPyramidConfig(TypedConfig):
    """channels: that every map is brought to. max_depth: the largest distance, in metres."""

    channels: int = 64
    max_depth: float = 10.0

    def validate(self) -> None:
        self.require_positive("channels", "max_depth")
        if self.channels > 2**16:
            raise self.invalid("channels", f"must be at most {2**16}, found {self.channels}")
