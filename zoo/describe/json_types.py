"""The types that descriptions are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

__all__ = ["Description", "Json"]

Json = None | bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"]
"""What JSON can say."""

Description = dict[str, Json]
"""A JSON object. Its keys keep their meaning from version to version."""
