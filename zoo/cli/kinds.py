"""The kinds of contribution, as arguments of commands."""

from __future__ import annotations

import click

from zoo.plugins import SPEC_TYPES

__all__ = ["kind_of_thing"]

_SINGULAR = {kind.removesuffix("s"): kind for kind in SPEC_TYPES}


def kind_of_thing(text: str) -> str:
    """ "architectures", "heads" and so on, from the plural or the singular. Raises BadParameter for anything else."""
    kind = _SINGULAR.get(text.lower(), text.lower())
    if kind not in SPEC_TYPES:
        raise click.BadParameter(f"{text!r} is none of {', '.join(SPEC_TYPES)}.")
    return kind
