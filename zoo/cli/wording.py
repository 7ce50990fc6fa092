"""Values in words: sizes, counts, what a head needs."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from zoo.cli.output import is_terminal
from zoo.describe import Description

__all__ = ["count", "origin", "plural", "requirement", "scaled_count", "scaled_size", "size"]


def size(value: int) -> str:
    """Bytes: for a person "98.4 MB" (decimal), for a program the number."""
    if not is_terminal(sys.stdout):
        return str(value)
    return scaled_size(value)


def scaled_size(value: int) -> str:
    """Bytes for a person: "98.4 MB" (decimal)."""
    return f"{value} bytes" if value < 1000 else _scaled(value, ("kB", "MB", "GB", "TB"))


def scaled_count(value: int) -> str:
    """A number of things for a person, in short: "135 M"."""
    return str(value) if value < 1000 else _scaled(value, ("k", "M", "G", "T"))


def count(value: int) -> str:
    """A number of things: for a person "134,515,008 (135 M)", for a program the number."""
    if not is_terminal(sys.stdout):
        return str(value)
    exact = f"{value:,}"
    return exact if value < 100_000 else f"{exact} ({_scaled(value, ('k', 'M', 'G', 'T'))})"


def origin(item: Description) -> str:
    """The distribution that brings a thing, and its version, e.g. "zoo-llama 0.1.0"."""
    return f"{str(item['full_name']).rpartition(':')[0]} {item['version']}".rstrip()


def plural(number: int, noun: str) -> str:
    """ "1 head", "2 heads"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def requirement(requires: Description | Sequence[Description]) -> str:
    """What a head or neck needs, e.g. "causal text tokens", or "image vector or image map" where either will do."""
    if not isinstance(requires, dict):
        return " or ".join(map(requirement, requires))
    words = [str(requires["modality"] or ""), str(requires["kind"])]
    if requires["causal"] is not None:
        words.insert(0, "causal" if requires["causal"] else "bidirectional")
    strides = requires["strides"]
    if isinstance(strides, list) and strides:
        words.append(f"at strides {', '.join(map(str, strides))}")
    if requires["prefix_tokens"]:
        words.append(f"with {requires['prefix_tokens']} prefix tokens")
    return " ".join(filter(None, words))


def _scaled(value: float, units: tuple[str, ...]) -> str:
    for unit in units:
        value /= 1000
        if value < 999.5:
            return f"{value:.3g} {unit}" if value < 100 else f"{value:.0f} {unit}"
    return f"{value:.0f} {units[-1]}"
