"""The sandbox in which chat templates run: jinja2's immutable one, narrowed to plain data and metered throughout.

jinja2's own sandbox keeps a template away from Python's internals, but not from `'a' * 10**9`, a loop of a thousand
million turns or a list that holds itself forty times over. Here, before a template is compiled, its syntax tree is
rewritten so that everything that repeats or grows passes through the meter:

- loops, `~`, slices, `*arguments`, comparisons and the keys of dictionaries are wrapped in the private filters below;
- `+ * ** %` are jinja2's intercepted operators; calls, attributes and subscripts are the sandbox's own hooks;
- filters and tests are wrapped as a whole; printing goes through `finalize`; blocks and macros through `concat`.

Attributes are an allowlist by type, so a template reaches the methods of plain data and of jinja2's own few objects,
and no more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, cast

from jinja2 import nodes
from jinja2.exceptions import SecurityError
from jinja2.ext import loopcontrols
from jinja2.runtime import (
    BlockReference,
    Context,
    LoopContext,
    Macro,
    TemplateReference,
    Undefined,
    markup_join,
    str_join,
)
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Cycler, Joiner, Namespace, pass_context, pass_eval_context
from jinja2.visitor import NodeTransformer
from markupsafe import Markup

from zoo.preprocess.bounded import (
    FILTERS,
    UNBOUNDABLE_FILTERS,
    BoundedEscapeFormatter,
    BoundedFormatter,
    bounded_filter,
    bounded_operation,
    bounded_test,
    method_arguments,
    spread_size,
)
from zoo.preprocess.generation_tag import GenerationTag
from zoo.preprocess.meter import METER, size_of

__all__ = ["BoundedEnvironment", "Instrumentation"]

_STRING_METHODS = frozenset(
    "capitalize casefold center count endswith expandtabs find format format_map index isalnum isalpha isascii "
    "isdecimal isdigit isidentifier islower isnumeric isprintable isspace istitle isupper join ljust lower lstrip "
    "partition removeprefix removesuffix replace rfind rindex rjust rpartition rsplit rstrip split splitlines "
    "startswith strip swapcase title upper zfill".split()
)
_SEQUENCE_METHODS = frozenset({"copy", "count", "index"})
_METHODS: tuple[tuple[type, frozenset[str]], ...] = (
    (str, _STRING_METHODS),
    (dict, frozenset({"copy", "get", "items", "keys", "values"})),
    (list, _SEQUENCE_METHODS),
    (tuple, _SEQUENCE_METHODS),
    (int, frozenset({"bit_length"})),
    (float, frozenset({"is_integer"})),
)
_RUNTIME_OBJECTS = (LoopContext, Macro, Namespace, Cycler, Joiner, TemplateReference, BlockReference, Undefined)

# No template can write these names: they are not identifiers.
_EACH, _JOINED, _WEIGHED, _SLICED, _SPREAD = "for each", "~", "weighed", "sliced", "spread"


class BoundedEnvironment(ImmutableSandboxedEnvironment):
    """Compiles and runs chat templates; METER must be set while it does either."""

    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self) -> None:
        super().__init__(
            trim_blocks=True, lstrip_blocks=True, extensions=[GenerationTag, loopcontrols], finalize=_printed
        )
        self.filters.update(FILTERS)
        for name in UNBOUNDABLE_FILTERS:
            del self.filters[name]
        self.filters = {name: bounded_filter(name, function) for name, function in self.filters.items()}
        self.tests = {name: bounded_test(cast(Callable[..., Any], function)) for name, function in self.tests.items()}
        self.filters.update({_EACH: _each, _JOINED: _joined, _WEIGHED: _weighed, _SLICED: _sliced, _SPREAD: _spread})
        del self.globals["lipsum"]

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        if attr.startswith("_"):
            return False
        for kind, names in _METHODS:
            if isinstance(obj, kind):
                return attr in names or attr in getattr(obj, "_fields", ())
        return isinstance(obj, _RUNTIME_OBJECTS)

    def unsafe_undefined(self, obj: Any, attribute: str) -> Undefined:
        if attribute.startswith("_"):
            raise SecurityError(f"access to attribute {attribute!r} of a {type(obj).__name__} is not allowed")
        return super().unsafe_undefined(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        meter = METER.get()
        meter.step()
        if isinstance(argument, tuple):
            meter.weigh(argument)
        return super().getitem(obj, argument)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        return bounded_operation(operator, left, right)

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:
        meter = METER.get()
        meter.step()
        for value in (*args, *kwargs.values()):
            meter.weigh(value)
        owner = getattr(__obj, "__self__", None)
        if isinstance(owner, str):
            args = method_arguments(owner, __obj.__name__, args, kwargs)
        elif isinstance(__obj, LoopContext) and args:  # the recursion of `{% for ... recursive %}`
            args = (_each(__context, args[0]), *args[1:])
        result = super().call(__context, __obj, *args, **kwargs)
        meter.spend(size_of(result))
        return result

    def concat(self, parts: Iterable[str]) -> str:
        """What the bodies of macros, `{% set %}` blocks and the like are joined with."""
        pieces = list(parts)
        METER.get().spend(sum(map(len, pieces)))
        return "".join(pieces)

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        wrapper = super().wrap_str_format(value)
        if wrapper is None:
            return None
        template: str = value.__self__
        formatter = BoundedFormatter(self)
        if isinstance(template, Markup):
            formatter = BoundedEscapeFormatter(self, escape=template.escape)

        def bounded_format(*args: Any, **kwargs: Any) -> str:
            if value.__name__ == "format_map":
                args, kwargs = (), dict(*args, **kwargs)
            return type(template)(formatter.vformat(template, args, kwargs))

        return bounded_format


class Instrumentation(NodeTransformer):
    """Wraps what the environment has no hook for."""

    def visit_For(self, node: nodes.For, *args: Any, **kwargs: Any) -> nodes.Node:
        self.generic_visit(node)
        node.iter = _wrap(cast(nodes.Expr, node.iter), _EACH)
        return node

    def visit_Concat(self, node: nodes.Concat, *args: Any, **kwargs: Any) -> nodes.Node:
        self.generic_visit(node)
        return _wrap(nodes.List(node.nodes, lineno=node.lineno), _JOINED)

    def visit_Compare(self, node: nodes.Compare, *args: Any, **kwargs: Any) -> nodes.Node:
        self.generic_visit(node)
        node.expr = _wrap(node.expr, _WEIGHED)
        for operand in node.ops:
            operand.expr = _wrap(operand.expr, _WEIGHED)
        return node

    def visit_Pair(self, node: nodes.Pair, *args: Any, **kwargs: Any) -> nodes.Node:
        self.generic_visit(node)
        node.key = _wrap(node.key, _WEIGHED)
        return node

    def visit_Call(self, node: nodes.Call, *args: Any, **kwargs: Any) -> nodes.Node:
        return self._spread(node)

    def visit_Filter(self, node: nodes.Filter, *args: Any, **kwargs: Any) -> nodes.Node:
        return self._spread(node)

    def visit_Test(self, node: nodes.Test, *args: Any, **kwargs: Any) -> nodes.Node:
        return self._spread(node)

    def _spread(self, node: nodes.Call | nodes.Filter | nodes.Test) -> nodes.Node:
        self.generic_visit(node)
        if node.dyn_args is not None:
            node.dyn_args = _wrap(node.dyn_args, _SPREAD)
        return node

    def visit_Getitem(self, node: nodes.Getitem, *args: Any, **kwargs: Any) -> nodes.Node:
        self.generic_visit(node)
        if isinstance(node.arg, nodes.Slice):  # compiled to Python's own slicing, past `getitem`
            node.node = _wrap(node.node, _SLICED)
        return node


def _wrap(expression: nodes.Expr, name: str) -> nodes.Expr:
    if isinstance(expression, nodes.Const):
        return expression
    return nodes.Filter(expression, name, [], [], None, None, lineno=expression.lineno)


@pass_context
def _each(context: Context, iterable: Iterable[Any]) -> Iterator[Any]:
    meter = METER.get()
    for item in iterable:
        meter.step()
        yield item


@pass_eval_context
def _joined(eval_ctx: nodes.EvalContext, values: Sequence[Any]) -> str:
    meter = METER.get()
    meter.step(sum(meter.weigh(value) for value in values))
    return markup_join(values) if eval_ctx.autoescape else str_join(values)


def _weighed(value: Any) -> Any:
    METER.get().look_over(value)
    return value


def _sliced(value: Any) -> Any:
    METER.get().step(size_of(value))
    return value


def _spread(value: Any) -> Any:
    METER.get().step(spread_size(value))
    return value


def _printed(value: Any) -> Any:
    meter = METER.get()
    meter.step(meter.weigh(value))
    return value
