"""Filters, string methods and operators of chat templates that know what they will cost before they do it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import reduce, wraps
from typing import Any

from jinja2.environment import Environment
from jinja2.filters import FILTERS as JINJA_FILTERS
from jinja2.filters import make_attrgetter
from jinja2.nodes import EvalContext
from jinja2.sandbox import SandboxedEscapeFormatter, SandboxedFormatter
from jinja2.utils import pass_environment, pass_eval_context

from zoo.preprocess.meter import METER, size_of

__all__ = [
    "FILTERS",
    "UNBOUNDABLE_FILTERS",
    "BoundedEscapeFormatter",
    "BoundedFormatter",
    "bounded_filter",
    "bounded_operation",
    "bounded_test",
    "method_arguments",
    "spread_size",
]

UNBOUNDABLE_FILTERS = ("pprint", "striptags", "urlize", "wordwrap", "xmlattr")
"""Filters that make HTML or wrap text by regular expressions of unknown cost; no chat template needs them."""

_STRING = 64  # units of work per small string made
_INTEGER_BITS = 1 << 16

# Filters that don't look below the first level of what they are given.
_SHALLOW = frozenset(
    "attr batch count d default first items last length list map random reject rejectattr reverse select selectattr "
    "slice".split()
)
# Filters that make a list of the characters when they are given a string.
_ITERATING = frozenset(
    "batch groupby join list map max min reject rejectattr select selectattr slice sort sum unique".split()
)

# Every width and precision of a %-format is followed by the rest of its field. A star takes it from the arguments.
_PERCENT_NUMBER = re.compile(r"(\d+|\*)(?=[.\d*]*[hlL]?[diouxXeEfFgGcrsa%])")


def bounded_filter(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """A filter that weighs what it is given and counts what it makes. A lazy result is drawn at once, to be counted."""
    cost = _FILTER_COSTS.get(name)
    first = 1 if hasattr(function, "jinja_pass_arg") else 0  # before it comes the context or environment

    @wraps(function)
    def metered(*args: Any, **kwargs: Any) -> Any:
        meter = METER.get()
        meter.step()
        for value in (*args[first:], *kwargs.values()):
            meter.weigh(value) if name in _SHALLOW else meter.look_over(value)
            if name in _ITERATING:
                meter.spend(spread_size(value))
        if cost is not None:
            meter.spend(cost(*args[first:], **kwargs))
        result = function(*args, **kwargs)
        if isinstance(result, Iterator):
            result = list(result)
            meter.spend(size_of(result))
            return iter(result)
        meter.spend(size_of(result))
        meter.weigh(result)
        return result

    return metered


def bounded_test(function: Callable[..., Any]) -> Callable[..., Any]:
    """A test (`is ...`) that weighs what it is given."""

    @wraps(function)
    def metered(*args: Any, **kwargs: Any) -> Any:
        meter = METER.get()
        meter.step()
        for value in (*args, *kwargs.values()):
            meter.weigh(value)
        return function(*args, **kwargs)

    return metered


def bounded_operation(operator: str, left: Any, right: Any) -> Any:
    """`left operator right` for one of + * ** %."""
    meter = METER.get()
    meter.step()
    if operator == "%":
        if isinstance(left, str):
            meter.spend(_percent_size(left, right))
        return left % right
    if operator == "+":
        meter.spend(size_of(left) + size_of(right))
        result = left + right
    elif operator == "*":
        if isinstance(left, int) and isinstance(right, int):
            meter.weigh(left), meter.weigh(right)
        else:
            meter.spend(_repeated_size(left, right))
        result = left * right
    else:
        if isinstance(left, int) and isinstance(right, int) and left.bit_length() * right > _INTEGER_BITS:
            meter.spend(float("inf"))
        result = left**right
    meter.weigh(result)
    return result


def method_arguments(text: str, method: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[Any, ...]:
    """The arguments for a method of a string, once its cost is counted. What `join` draws from is drawn."""
    meter = METER.get()
    if method == "join" and len(args) == 1:
        meter.spend(spread_size(args[0]))
        parts = list(args[0])
        meter.spend(size_of(parts) + meter.weigh(parts) + len(text) * len(parts))
        return (parts,)
    cost = _METHOD_COSTS.get(method)
    if cost is not None:
        meter.spend(cost(text, *args, **kwargs))
    return args


class BoundedFormatter(SandboxedFormatter):
    """`str.format` without widths that explode."""

    def format_field(self, value: Any, format_spec: str) -> str:
        meter = METER.get()
        meter.step(meter.weigh(value) + sum(map(int, re.findall(r"\d+", format_spec))))
        text: str = super().format_field(value, format_spec)
        return text

    def convert_field(self, value: Any, conversion: Any) -> Any:
        METER.get().weigh(value)
        return super().convert_field(value, conversion)


class BoundedEscapeFormatter(BoundedFormatter, SandboxedEscapeFormatter):
    """The same for `Markup.format`, which escapes HTML in what it inserts."""


def spread_size(value: Any) -> int:
    """The units of work that it takes to make a list of a string's characters."""
    return _STRING * len(value) if isinstance(value, str) else 0


def _repeated_size(left: Any, right: Any) -> float:
    count, sequence = (left, right) if isinstance(left, int) else (right, left)
    return size_of(sequence) * count if isinstance(count, int) else 0


def _percent_size(template: str, values: Any) -> float:
    widths = _PERCENT_NUMBER.findall(template)
    if "*" in widths:
        return float("inf")
    return len(template) + sum(map(int, widths)) + template.count("%") * METER.get().weigh(values)


def _replaced_size(text: Any, old: Any, new: Any, count: Any = None) -> int:
    found = str(text).count(str(old))
    return len(str(text)) + len(str(new)) * (found if count is None or count < 0 else min(found, count))


def _indented_size(text: str, width: int | str = 4, *_: Any, **__: Any) -> int:
    return (len(text.splitlines()) + 1) * (len(width) if isinstance(width, str) else width)


def _padded_size(_: str, width: int = 80, *__: Any) -> int:
    return width


def _split_size(text: str, sep: str | None = None, *_: Any, **__: Any) -> int:
    return _STRING * (text.count(sep) if sep else len(text) // 2)


_METHOD_COSTS: dict[str, Callable[..., float]] = {
    "center": _padded_size,
    "ljust": _padded_size,
    "rjust": _padded_size,
    "zfill": _padded_size,
    "expandtabs": lambda text, tabsize=8: text.count("\t") * tabsize,
    "replace": _replaced_size,
    "split": _split_size,
    "rsplit": _split_size,
    "splitlines": lambda text, *_, **__: 8 * len(text),
}

_FILTER_COSTS: dict[str, Callable[..., float]] = {
    "batch": lambda _, linecount, *__, **___: 8 * linecount,
    "center": _padded_size,
    "format": lambda value, *args, **kwargs: _percent_size(str(value), args or kwargs),
    "indent": _indented_size,
    "replace": _replaced_size,
    "round": lambda _, precision=0, *__, **___: _STRING * abs(precision),
    "slice": lambda _, slices, *__, **___: _STRING * slices,
}


@pass_eval_context
def _join(eval_ctx: EvalContext, value: Iterable[Any], d: str = "", attribute: str | int | None = None) -> Any:
    meter = METER.get()
    items = list(value)
    meter.spend(meter.weigh(items) + len(str(d)) * len(items))
    return JINJA_FILTERS["join"](eval_ctx, items, d, attribute)


@pass_environment
def _sum(environment: Environment, iterable: Iterable[Any], attribute: str | int | None = None, start: Any = 0) -> Any:
    """Step by step, since `sum` over lists copies quadratically inside one call."""
    items = iterable if attribute is None else map(make_attrgetter(environment, attribute), iterable)
    return reduce(lambda left, right: bounded_operation("+", left, right), items, start)


def _tojson(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | str | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """JSON as it is, where jinja2's own filter would escape it for HTML."""
    encoder = json.JSONEncoder(ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)
    meter = METER.get()
    if indent is not None:
        meter.spend(len(indent) if isinstance(indent, str) else indent)
    if separators is not None:
        meter.spend(meter.weigh(value) * sum(map(len, separators)))
    pieces = []
    for piece in encoder.iterencode(value):
        meter.spend(len(piece))
        pieces.append(piece)
    return "".join(pieces)


FILTERS: dict[str, Callable[..., Any]] = {"join": _join, "sum": _sum, "tojson": _tojson}
"""What replaces jinja2's filters of these names."""
