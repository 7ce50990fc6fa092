"""Decoding: from prompts to texts, for models that score the next token.

Settings are free of torch; the rest is imported when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zoo.generation.settings import GenerationSettings

if TYPE_CHECKING:
    from zoo.generation.cache import KVCache
    from zoo.generation.output import Generation, GenerationOutput
    from zoo.generation.run import generate
    from zoo.generation.stopping import FinishReason
    from zoo.generation.streaming import TextStream

__all__ = ["FinishReason", "Generation", "GenerationOutput", "GenerationSettings", "KVCache", "TextStream", "generate"]

_HOME = {
    "FinishReason": "stopping",
    "Generation": "output",
    "GenerationOutput": "output",
    "KVCache": "cache",
    "TextStream": "streaming",
    "generate": "run",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'zoo.generation' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"zoo.generation.{_HOME[name]}"), name)
