"""Checks of a configuration: read and written without loss, and bad values refused by the name of their field."""

from __future__ import annotations

import dataclasses
import json
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from zoo.errors import ConfigError
from zoo.testing.failing import fail

__all__ = ["check_refusals", "check_round_trip"]

_UNKNOWN = {"a_key_that_zoo_testing_made_up": [1, {"nested": None}]}


class _NoValue:
    """Of a type that no field has."""

    def __repr__(self) -> str:
        return "<a value of no field's type>"


def check_round_trip(config_class: Any, values: Mapping[str, Any]) -> None:
    """What is read is written back whole, and what is written is read as the same configuration."""
    name = config_class.__name__
    read_back: Callable[[Any], Any] = config_class.from_hub
    stated = json.loads(json.dumps(dict(values))) | _UNKNOWN
    config: Any = config_class.from_hub(stated)
    written = config.to_hub()
    lost = [key for key in stated if key not in written or written[key] != stated[key]]
    if lost:
        fail(
            f"{name}.from_hub(values).to_hub() changes {_changes(lost, stated, written)}.",
            "Write back what was read, keys that are not understood among them; `zoo.interfaces.TypedConfig` does.",
        )
    added = [key for key in written if key not in stated]
    if added:
        fail(
            f"{name}.from_hub(values).to_hub() adds {', '.join(added)}, which the config.json did not state.",
            "Write only fields that have been changed since they were read.",
        )
    again = config_class.from_hub(json.loads(json.dumps(written)))
    if again != config:
        fail(f"{name}: {again} is read from what {config} wrote.", "Make from_hub the inverse of to_hub.")
    if dataclasses.is_dataclass(config_class) and any(
        field.name == "hub" for field in dataclasses.fields(config_class)
    ):
        fresh: Any = dataclasses.replace(config, hub={})
        read = read_back(json.loads(json.dumps(fresh.to_hub())))
        if read != fresh:
            changed = [field for field in _fields(config_class) if getattr(read, field) != getattr(fresh, field)]
            fail(
                f"{name}: a configuration that was made, not read, comes back with another {', '.join(changed)}.",
                "write_hub must write every field that differs from its default, where read_hub reads it.",
            )


def check_refusals(config_class: Any, values: Mapping[str, Any]) -> None:
    """A value of a wrong type is a ConfigError that names the field."""
    name = config_class.__name__
    config = config_class.from_hub(values)
    for field in _fields(config_class) if dataclasses.is_dataclass(config_class) else ():
        _require_refusal(
            f"{name}({field}={_NoValue()})",
            lambda field=field: dataclasses.replace(config, **{field: _NoValue()}),
            field,
        )
    for key, value in values.items():
        if key in ("model_type", "architectures"):
            continue  # what the file is, not what the model is
        wrong: Any = "no object" if isinstance(value, Mapping) else {"no": "value"}
        if _reads(config_class, key):
            _require_refusal(
                f"{name}.from_hub({{{key!r}: {wrong!r}}})",
                lambda key=key, wrong=wrong: config_class.from_hub({**values, key: wrong}),
                key,
                *_fields_of(config_class, key),
            )


def _require_refusal(what: str, make: Any, *names: str) -> None:
    change = "Check the types of all fields when a configuration is made, as `zoo.interfaces.TypedConfig` does."
    try:
        made = make()
    except ConfigError as error:
        if not any(f"'{name}'" in str(error) for name in names):
            fail(
                f"{what} is refused without the name of the field: {error}",
                f"Say which field it is, as `self.invalid({names[-1]!r}, ...)` does.",
            )
        return
    except Exception as error:
        fail(f"{what} raises {type(error).__name__}: {error}; a ConfigError was expected.", change)
    fail(f"{what} is accepted: {made}.", change)


def _reads(config_class: Any, key: str) -> bool:
    """Whether the configuration looks at a key of config.json, as far as can be told; others are only kept."""
    return not dataclasses.is_dataclass(config_class) or bool(_fields_of(config_class, key))


def _fields_of(config_class: Any, key: str) -> list[str]:
    """The fields that a key of config.json is for."""
    names: Mapping[str, tuple[str, ...]] = getattr(config_class, "hub_names", {})
    if not dataclasses.is_dataclass(config_class):
        return []
    return [field for field in _fields(config_class) if key in names.get(field, (field,))]


def _fields(config_class: Any) -> list[str]:
    """The typed fields; one of type Any takes everything."""
    return list(_typed(config_class))


def _typed(config_class: Any) -> Iterator[str]:
    hints = typing.get_type_hints(config_class)
    for field in dataclasses.fields(config_class):
        if field.name != "hub" and field.init and hints[field.name] is not Any:
            yield field.name


def _changes(keys: list[str], before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    return "; ".join(f"'{key}' from {before[key]!r} to {after.get(key, 'nothing')!r}" for key in keys)
