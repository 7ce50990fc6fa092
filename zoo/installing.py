"""How what is missing gets installed, said in one place.

The project's distributions are on no package index yet. A line that installs one of their names from an index would be
an invitation to whoever takes that name, so what is suggested is the checkout.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

__all__ = ["install_hint"]

_COMMANDS: Mapping[str, str] = MappingProxyType(
    {
        "gguf": "pip install -e plugins/zoo-gguf",
        "image": "pip install -e '.[image]'",
        "llama": "pip install -e plugins/zoo-llama",
        "segmentation": "pip install -e plugins/zoo-segmentation",
        "swin": "pip install -e plugins/zoo-swin",
        "torch": "pip install -e '.[torch]'",
        "vit": "pip install -e plugins/zoo-vit",
    }
)
"""For each extra of zoo-sdk, the command in a checkout. A plugin is named by its folder, never by its name alone."""


def install_hint(extra: str) -> str:
    """What to do about something that an extra of zoo-sdk brings, as the sentence of a hint."""
    return f"It comes with the extra '{extra}' of zoo-sdk; in a checkout: {_COMMANDS[extra]}"
