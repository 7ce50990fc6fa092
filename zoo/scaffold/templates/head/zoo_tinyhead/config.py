"""The configuration of the head. Torch-free."""

from __future__ import annotations

from dataclasses import dataclass

from zoo.interfaces import TypedConfig

__all__ = ["TinyheadConfig"]


@dataclass(frozen=True, kw_only=True)
class TinyheadConfig(TypedConfig):
    """labels: their names, in the order of the scores. scale: what cosines are multiplied by."""

    labels: tuple[str, ...] = ("LABEL_0", "LABEL_1")
    scale: float = 16.0

    def validate(self) -> None:
        self.require_positive("scale")
        if not self.labels:
            raise self.invalid("labels", "must name at least one label")
