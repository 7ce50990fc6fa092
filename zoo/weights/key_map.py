"""Key maps: which stored tensor is which parameter, in both directions, as whole-key templates.

A template is a whole key in which `{i}`, or another name in braces, stands for a number between dots:
`"model.layers.{i}.self_attn.q_proj.weight"`. Each key is claimed by exactly one rule; nothing is renamed by substring.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from zoo.errors import PluginError
from zoo.weights.operations import RENAME, Operation

__all__ = ["AS_IT_IS", "Ignore", "KeyMap", "Match", "Rule"]

_NUMBER = re.compile(r"(?<![^.])(?:[0-9]+|\{[a-z_]+\})(?![^.])")


@dataclass(frozen=True)
class Rule:
    """stored, model: templates, one or several where the operation joins or splits. aliases: other stored
    spellings, read but never written.
    """

    stored: str | tuple[str, ...]
    model: str | tuple[str, ...]
    operation: Operation = RENAME
    aliases: tuple[str, ...] = ()

    @property
    def stored_templates(self) -> tuple[str, ...]:
        """The stored templates as a tuple."""
        return (self.stored,) if isinstance(self.stored, str) else self.stored

    @property
    def model_templates(self) -> tuple[str, ...]:
        """The model's templates as a tuple."""
        return (self.model,) if isinstance(self.model, str) else self.model


@dataclass(frozen=True)
class Ignore:
    """Stored keys that are not loaded, with the reason that is reported."""

    stored: str
    reason: str


@dataclass(frozen=True)
class Match:
    """A rule applied to keys: the names of the stored tensors, of the model's, and what turns one into the other."""

    stored: tuple[str, ...]
    model: tuple[str, ...]
    operation: Operation


@dataclass(frozen=True)
class _Pattern:
    """A template that a key may have.

    slots: for each number in the key, the variable it binds or the number it must be.
    """

    slots: tuple[str, ...]
    rule: Rule | Ignore
    template: str

    def bind(self, numbers: Sequence[str]) -> dict[str, str] | None:
        bound: dict[str, str] = {}
        for slot, number in zip(self.slots, numbers, strict=True):
            if slot.startswith("{"):
                if bound.setdefault(slot, number) != number:
                    return None
            elif slot != number:
                return None
        return bound


@dataclass(frozen=True)
class KeyMap:
    """The rules of a layout.

    Raises PluginError when a template can't be read, or its two sides don't use the same variables.
    """

    rules: tuple[Rule, ...]
    ignored: tuple[Ignore, ...] = ()
    _by_stored: dict[str, list[_Pattern]] = field(init=False, repr=False, compare=False)
    _by_model: dict[str, list[_Pattern]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        by_stored: dict[str, list[_Pattern]] = {}
        by_model: dict[str, list[_Pattern]] = {}
        for rule in self.rules:
            variables = {
                frozenset(_variables(template)) for template in (*rule.stored_templates, *rule.model_templates)
            }
            if len(variables) != 1:
                raise PluginError(f"Key map: the templates of {rule} don't all use the same variables.")
            if rule.aliases and len(rule.stored_templates) != 1:
                raise PluginError(f"Key map: {rule} has aliases, which only a rule with one stored template can have.")
            for template in (*rule.stored_templates, *rule.aliases):
                _add(by_stored, template, rule)
            for template in rule.model_templates:
                _add(by_model, template, rule)
        for ignore in self.ignored:
            _add(by_stored, ignore.stored, ignore)
        object.__setattr__(self, "_by_stored", by_stored)
        object.__setattr__(self, "_by_model", by_model)

    def __add__(self, other: KeyMap) -> KeyMap:
        return KeyMap(self.rules + other.rules, self.ignored + other.ignored)

    def prefixed(self, *, stored: str = "", model: str = "") -> KeyMap:
        """The same map with prefixes before every stored and every model template."""
        rules = tuple(
            replace(
                rule,
                stored=tuple(stored + template for template in rule.stored_templates),
                model=tuple(model + template for template in rule.model_templates),
                aliases=tuple(stored + template for template in rule.aliases),
            )
            for rule in self.rules
        )
        return KeyMap(rules, tuple(replace(ignore, stored=stored + ignore.stored) for ignore in self.ignored))

    def match_stored(self, keys: Iterable[str]) -> tuple[list[Match], dict[str, str], list[str]]:
        """Stored keys to what they become.

        Returns the matches, the ignored keys with their reasons, and the keys that no rule claims. A match whose other
        stored tensors are absent is returned all the same: its `stored` names what is missing.
        """
        matches: dict[tuple[int, tuple[tuple[str, str], ...]], Match] = {}
        ignored: dict[str, str] = {}
        unclaimed: list[str] = []
        for key in keys:
            found = _find(self._by_stored, key)
            if found is None:
                unclaimed.append(key)
                continue
            pattern, bound = found
            if isinstance(pattern.rule, Ignore):
                ignored[key] = pattern.rule.reason
                continue
            match = _instantiate(pattern.rule, bound)
            if pattern.template in pattern.rule.aliases:
                match = replace(match, stored=(key,))
            matches.setdefault((id(pattern.rule), (*sorted(bound.items()), ("", match.stored[0]))), match)
        return list(matches.values()), ignored, unclaimed

    def match_model(self, keys: Iterable[str]) -> tuple[list[Match], list[str]]:
        """Model keys to how they are stored: the matches, and the keys that no rule claims."""
        matches: dict[tuple[str, ...], Match] = {}
        unclaimed: list[str] = []
        for key in keys:
            found = _find(self._by_model, key)
            if found is None:
                unclaimed.append(key)
                continue
            pattern, bound = found
            assert isinstance(pattern.rule, Rule)
            match = _instantiate(pattern.rule, bound)
            matches.setdefault(match.stored, match)
        return list(matches.values()), unclaimed


class _AsItIs(KeyMap):
    """Every tensor is stored under its canonical name."""

    def match_stored(self, keys: Iterable[str]) -> tuple[list[Match], dict[str, str], list[str]]:
        return [Match((key,), (key,), RENAME) for key in keys], {}, []

    def match_model(self, keys: Iterable[str]) -> tuple[list[Match], list[str]]:
        return [Match((key,), (key,), RENAME) for key in keys], []


AS_IT_IS = _AsItIs(())
"""For files that keep canonical names."""


def _variables(template: str) -> list[str]:
    return [token for token in _NUMBER.findall(template) if token.startswith("{")]


def _form(key: str) -> str:
    """The key with every number replaced, under which templates and keys meet."""
    return _NUMBER.sub("{}", key)


def _add(patterns: dict[str, list[_Pattern]], template: str, rule: Rule | Ignore) -> None:
    if template.count("{") != len(_variables(template)):
        raise PluginError(f"Key map: the template {template!r} has a brace that is not a whole part between dots.")
    pattern = _Pattern(tuple(_NUMBER.findall(template)), rule, template)
    same_form = patterns.setdefault(_form(template), [])
    for other in same_form:
        if all(
            a.startswith("{") or b.startswith("{") or a == b for a, b in zip(pattern.slots, other.slots, strict=True)
        ):
            raise PluginError(f"Key map: the templates {other.template!r} and {template!r} claim the same keys.")
    same_form.append(pattern)


def _find(patterns: dict[str, list[_Pattern]], key: str) -> tuple[_Pattern, dict[str, str]] | None:
    numbers = _NUMBER.findall(key)
    for pattern in patterns.get(_form(key), ()):
        bound = pattern.bind(numbers)
        if bound is not None:
            return pattern, bound
    return None


def _instantiate(rule: Rule, bound: dict[str, str]) -> Match:
    def fill(template: str) -> str:
        for variable, number in bound.items():
            template = template.replace(variable, number)
        return template

    return Match(
        tuple(fill(template) for template in rule.stored_templates),
        tuple(fill(template) for template in rule.model_templates),
        rule.operation,
    )
