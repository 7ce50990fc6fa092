"""Configurations: a protocol, and the frozen dataclass that native architectures and heads derive theirs from.
Torch-free.
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol, Self, runtime_checkable

from zoo.errors import ConfigError
from zoo.interfaces.feature_spec import FeatureSpec
from zoo.interfaces.frozen import FrozenDict
from zoo.interfaces.shown import shown

__all__ = ["Config", "TypedConfig"]


@runtime_checkable
class Config(Protocol):
    """What the core asks of an architecture's configuration."""

    @classmethod
    def from_hub(cls, values: Mapping[str, Any]) -> Self:
        """Build from the contents of a config.json, in any of its spellings. Raises ConfigError naming the field."""
        ...

    def to_hub(self) -> dict[str, Any]:
        """The contents of config.json, without loss: keys that were read and are not understood are written back."""
        ...

    def feature_specs(self) -> tuple[FeatureSpec, ...]:
        """What the backbone of this configuration gives."""
        ...

    def maps_only(self) -> Self:
        """The same backbone where nothing but its maps is wanted, as for dense prediction: without a last norm, say."""
        ...


@dataclasses.dataclass(frozen=True, kw_only=True)
class TypedConfig:
    """A configuration as a frozen, keyword-only dataclass, validated when it is made.

    Types are checked from the annotations (bool is no int, an int is taken for a float; non-finite floats, and ints
    that 64 bits don't hold, are refused); a child adds ranges and cross-field rules in `validate`, raising through
    `self.invalid`. The Hub's keys are the field names unless `hub_names` says otherwise. `hub` holds the config.json
    that it was read from, so that what is not understood here is not lost.
    """

    hub_names: ClassVar[Mapping[str, tuple[str, ...]]] = types.MappingProxyType({})
    """field name -> the Hub's keys for it, the newest first (read in any, written under the one it was read from)."""

    hub: Mapping[str, Any] = dataclasses.field(default_factory=FrozenDict, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name, annotation in _annotations(type(self)).items():
            value = getattr(self, name)
            if name == "hub":
                object.__setattr__(self, "hub", FrozenDict(value))
                continue
            accepted, converted = _coerce(value, annotation)
            if not accepted:
                raise self.invalid(name, f"expected {_describe(annotation)}, found {shown(value)}")
            object.__setattr__(self, name, converted)
        self.validate()

    def validate(self) -> None:
        """Check ranges and what fields mean together."""

    def invalid(self, name: str, problem: str) -> ConfigError:
        """The error for a field, to be raised."""
        return ConfigError(f"{type(self).__name__}: field '{name}': {problem}.")

    def require_positive(self, *names: str) -> None:
        """Raise ConfigError for the first of the fields that is not above zero."""
        for name in names:
            if getattr(self, name) <= 0:
                raise self.invalid(name, f"must be above 0, found {getattr(self, name)!r}")

    def replace(self, **changes: Any) -> Self:
        """A copy with other values in some fields, validated anew."""
        unknown = sorted(set(changes) - {field.name for field in dataclasses.fields(self)})
        if unknown:
            raise ConfigError(f"{type(self).__name__} has no field {', '.join(map(repr, unknown))}.")
        return dataclasses.replace(self, **changes)

    def maps_only(self) -> Self:
        """The same backbone where nothing but its maps is wanted; a child with parts that only serve others drops
        them.
        """
        return self

    @classmethod
    def from_hub(cls, values: Mapping[str, Any]) -> Self:
        """Build from the contents of a config.json. Raises ConfigError naming the field."""
        found = cls.read_hub(values)
        for field in dataclasses.fields(cls):
            optional = field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING
            if field.name not in found and not optional:
                raise ConfigError(f"{cls.__name__}: field '{field.name}' is missing.")
        return cls(**found, hub=values)

    def to_hub(self) -> dict[str, Any]:
        """The contents of config.json: what was read, with only the fields that have changed since written over it."""
        values = dict(self.hub)
        before = type(self).from_hub(values) if values else None
        names = [name for name in _annotations(type(self)) if name != "hub"]
        self.write_hub(
            values, [name for name in names if before is None or getattr(before, name) != getattr(self, name)]
        )
        return values

    @classmethod
    def read_hub(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """The fields that a config.json states. A child extends this for fields that are not one plain key."""
        found = {}
        for name in _annotations(cls):
            if name != "hub":
                for key in cls.hub_names.get(name, (name,)):
                    if key in values:
                        found[name] = values[key]
                        break
        return found

    def write_hub(self, values: dict[str, Any], names: Sequence[str]) -> None:
        """Write the fields of these names into the contents of a config.json; the inverse of `read_hub`."""
        for name in names:
            keys = self.hub_names.get(name, (name,))
            if getattr(self, name) is None and not any(key in values for key in keys):
                continue  # nothing is said by saying nothing
            present = [key for key in keys if key in values] or [keys[0]]
            for stale in present[1:]:
                del values[stale]
            value = getattr(self, name)
            values[present[0]] = list(value) if isinstance(value, tuple) else value


_ANNOTATIONS: dict[type[TypedConfig], dict[str, Any]] = {}


def _annotations(cls: type[TypedConfig]) -> dict[str, Any]:
    """Field name -> type, looked up once per class."""
    if cls not in _ANNOTATIONS:
        hints = typing.get_type_hints(cls)
        _ANNOTATIONS[cls] = {field.name: hints[field.name] for field in dataclasses.fields(cls)}
    return _ANNOTATIONS[cls]


def _coerce(value: Any, annotation: Any) -> tuple[bool, Any]:
    """Whether the value is of the annotated type, and the value as it is to be kept."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation is Any:
        return True, value
    if origin in (typing.Union, types.UnionType):
        for option in arguments:
            accepted, converted = _coerce(value, option)
            if accepted:
                return True, converted
        return False, value
    if origin is typing.Literal:
        return value in arguments and type(value) in {type(a) for a in arguments}, value
    if origin is tuple:
        if not isinstance(value, (tuple, list)):
            return False, value
        if arguments[-1] is not Ellipsis and len(arguments) != len(value):
            return False, value
        options = (arguments[0],) * len(value) if arguments[-1] is Ellipsis else arguments
        pairs = [_coerce(item, option) for item, option in zip(value, options, strict=True)]
        return all(accepted for accepted, _ in pairs), tuple(item for _, item in pairs)
    if origin is not None:
        return isinstance(value, origin), value
    if annotation is float:
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            return False, value
        try:
            number = float(value)
        except OverflowError:  # an int past the largest float
            return False, value
        return math.isfinite(number), number
    if annotation is int:
        fits = isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**64
        return fits, value
    if annotation is None or annotation is type(None):
        return value is None, value
    return isinstance(value, annotation), value


def _describe(annotation: Any) -> str:
    if annotation in (None, type(None)):
        return "null"
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_describe(option) for option in arguments)
    if origin is typing.Literal:
        return "one of " + ", ".join(repr(option) for option in arguments)
    if origin is tuple:
        return f"a list of {_describe(arguments[0])}"
    return getattr(annotation, "__name__", str(annotation))
