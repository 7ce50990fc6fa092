"""The options of commands that run a model: how it is loaded, and how it generates."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from zoo.errors import InvalidInput

__all__ = ["check_settings", "generation_options", "given", "keywords", "loading_options"]

F = TypeVar("F", bound=Callable[..., Any])


def _setting(text: str) -> tuple[str, Any]:
    """KEY=VALUE; a value that is JSON is read as such, anything else is a text."""
    key, equals, value = text.partition("=")
    key = key.strip().replace("-", "_")
    if not equals or not key.isidentifier():
        raise click.BadParameter(f"{text!r} is not of the form KEY=VALUE.")
    try:
        return key, json.loads(value)
    except json.JSONDecodeError:
        return key, value


def loading_options(function: F) -> F:
    """--dtype, --device and --attention."""
    options = (
        click.option("--dtype", metavar="DTYPE", help="float32, bfloat16, ...; by default as it is stored."),
        click.option("--device", metavar="DEVICE", help="cpu, cuda, cuda:1, mps; by default the first accelerator."),
        click.option("--attention", metavar="NAME", help="An attention backend; see `zoo list attention`."),
    )
    return _decorated(function, options)


def generation_options(function: F) -> F:
    """The settings of generation that are asked for most, and --set for all others."""
    options = (
        click.option(
            "--max-new-tokens", type=click.IntRange(min=1), metavar="N", help="Generate at most this many tokens."
        ),
        click.option(
            "--temperature",
            type=click.FloatRange(min=0),
            metavar="T",
            help="Sample: lower is safer, higher is wilder; 0 is greedy.",
        ),
        click.option("--top-k", type=click.IntRange(min=0), metavar="K", help="Sample among the K likeliest tokens."),
        click.option(
            "--top-p",
            type=click.FloatRange(0, 1),
            metavar="P",
            help="Sample among the likeliest that make up P together.",
        ),
        click.option(
            "--min-p",
            type=click.FloatRange(0, 1),
            metavar="P",
            help="Sample among those at least P times as likely as the best.",
        ),
        click.option(
            "--repetition-penalty",
            type=click.FloatRange(min=0, min_open=True),
            metavar="X",
            help="Above 1: make what was said less likely.",
        ),
        click.option("--seed", type=click.IntRange(min=0), metavar="N", help="Make sampling reproducible."),
        click.option("--stop", multiple=True, metavar="TEXT", help="End before this text. May be given several times."),
        click.option(
            "--set",
            "others",
            type=_setting,
            multiple=True,
            metavar="KEY=VALUE",
            help="Any other setting of the task. Several times, too.",
        ),
    )
    return _decorated(function, options)


def given(**options: Any) -> dict[str, Any]:
    """Those options that were given: what was not is left to the model and its task. others: the values of --set."""
    others = options.pop("others", ())
    return {name: value for name, value in options.items() if value not in (None, ())} | dict(others)


def check_settings(task: str, pipeline: Callable[..., Any], settings: Mapping[str, Any]) -> None:
    """Raise UsageError for the first setting that a pipeline has no parameter for.

    Of a pipeline that has a method `check_settings(**settings)`, raising InvalidInput, the values are checked, too.
    """
    parameters = inspect.signature(pipeline).parameters
    if all(parameter.kind is not inspect.Parameter.VAR_KEYWORD for parameter in parameters.values()):
        takes = keywords(pipeline)
        for name in settings:
            if name not in takes:
                raise click.UsageError(f"{task} has no setting {name!r}; it has: {', '.join(takes) or 'none'}.")
    check = getattr(pipeline, "check_settings", None)
    if check is not None:
        try:
            check(**settings)
        except InvalidInput as error:
            raise click.UsageError(str(error)) from error


def keywords(function: Callable[..., Any]) -> list[str]:
    """The names of the parameters that are given by keyword only, which are a pipeline's settings."""
    parameters = inspect.signature(function).parameters
    return [name for name, parameter in parameters.items() if parameter.kind is inspect.Parameter.KEYWORD_ONLY]


def _decorated(function: F, options: tuple[Callable[[F], F], ...]) -> F:
    for option in reversed(options):
        function = option(function)
    return function
