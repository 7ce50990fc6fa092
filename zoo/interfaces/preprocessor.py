"""Preprocessors: raw inputs to model inputs, and outputs back to what a user wants. Torch-free itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, Self, runtime_checkable

from zoo.checkpoint.files import ModelFiles

__all__ = ["Preprocessor"]


@runtime_checkable
class Preprocessor(Protocol):
    """The contract of all modalities."""

    @classmethod
    def from_files(cls, files: ModelFiles, config: Mapping[str, Any]) -> Self | None:
        """Build from the Hub's files; None when none of the files it reads is there. config: the contents of
        config.json.
        """
        ...

    def __call__(self, items: Sequence[Any], **options: Any) -> list[Any]:
        """Raw items to preprocessed items, each with the metadata that `postprocess` needs."""
        ...

    def collate(self, items: Sequence[Any]) -> dict[str, Any]:
        """Preprocessed items to the keyword arguments of a model's forward, as tensors."""
        ...

    def postprocess(self, output: Any, items: Sequence[Any]) -> list[Any]:
        """A model's output to results, one per item."""
        ...

    def files(self) -> dict[str, bytes]:
        """The files to save beside the weights: name -> contents, in the Hub's formats."""
        ...
