"""All that plugins contribute, by kind and name."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, cast

from zoo.errors import NameNotFound, PluginError
from zoo.plugins.discovery import normalise
from zoo.plugins.hooks import SPEC_TYPES
from zoo.plugins.records import Entry, PluginInfo, S
from zoo.registry.catalog import Catalog, only
from zoo.registry.names import NOUNS, THIS_PROCESS, unknown_name
from zoo.spec import (
    ArchitectureSpec,
    AttentionSpec,
    CommandSpec,
    FormatSpec,
    HeadSpec,
    LayoutSpec,
    NeckSpec,
    PreprocessorSpec,
    PresetSpec,
    Spec,
    TaskSpec,
)

__all__ = ["THIS_PROCESS", "Registry", "preferences"]


class Registry:
    """One catalog per kind of contribution."""

    def __init__(
        self,
        entries: Mapping[str, Iterable[Entry[Any]]] = MappingProxyType({}),
        *,
        plugins: Sequence[PluginInfo] = (),
        prefer: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """entries: for each kind. plugins: all that are installed, for messages. prefer: name -> distribution."""
        self._entries = entries
        self._plugins = plugins
        self._prefer = {name: normalise(distribution) for name, distribution in prefer.items()}
        self._catalogs: dict[str, Catalog[Any]] = {}
        self._lock = threading.Lock()
        self.architectures = self._catalog("architectures", ArchitectureSpec)
        self.heads = self._catalog("heads", HeadSpec)
        self.necks = self._catalog("necks", NeckSpec)
        self.tasks = self._catalog("tasks", TaskSpec)
        self.preprocessors = self._catalog("preprocessors", PreprocessorSpec)
        self.layouts = self._catalog("layouts", LayoutSpec)
        self.presets = self._catalog("presets", PresetSpec)
        self.formats = self._catalog("formats", FormatSpec)
        self.attention = self._catalog("attention", AttentionSpec)
        self.commands = self._catalog("commands", CommandSpec)

    def architecture_for_model_type(self, model_type: str) -> Entry[ArchitectureSpec] | None:
        """The architecture that the `model_type` of a config.json means, or None. Raises AmbiguousName."""
        claims = [entry for entry in self.architectures if model_type in entry.spec.model_types]
        return only("model_type", model_type, claims, self._prefer.get(model_type))

    def register(self, spec: Spec, *, replace: bool = False) -> None:
        """Add a spec under the distribution "(this process)".

        A name that a plugin claims, too, is ambiguous from then on. replace: whether the spec may take the place of
        earlier ones that this process registered under any of its names; without it they are an error, except when
        it is the very same spec.
        """
        kind = next((kind for kind, spec_type in SPEC_TYPES.items() if isinstance(spec, spec_type)), None)
        if kind is None:
            expected = ", ".join(spec_type.__name__ for spec_type in SPEC_TYPES.values())
            raise PluginError(f"A {type(spec).__name__} can't be registered; expected one of {expected}.")
        with self._lock:
            catalog = self._catalogs[kind]
            names = {spec.name, *spec.aliases}
            earlier = [
                entry
                for entry in catalog
                if entry.distribution == THIS_PROCESS and names & {entry.spec.name, *entry.spec.aliases}
            ]
            if earlier == [self._of_this_process(spec)]:
                return  # a notebook's cell was run again
            if earlier and not replace:
                raise PluginError(
                    f"This process has already registered another {NOUNS[kind]} {earlier[0].spec.name!r}.",
                    hint="Pass replace=True to put the new one in its place.",
                )
            kept = [entry for entry in catalog if entry not in earlier]
            catalog.replace([*kept, self._of_this_process(spec)])

    def _of_this_process(self, spec: S) -> Entry[S]:
        return Entry(spec, THIS_PROCESS, "", THIS_PROCESS)

    def _catalog(self, kind: str, spec_type: type[S]) -> Catalog[S]:
        entries = cast("Iterable[Entry[S]]", self._entries.get(kind, ()))
        catalog = Catalog(kind, entries, prefer=self._prefer, unknown=self._unknown)
        self._catalogs[kind] = catalog
        return catalog

    def _unknown(self, kind: str, name: str) -> NameNotFound:
        return unknown_name(kind, name, self._catalogs, self._plugins)


def preferences(text: str) -> dict[str, str]:
    """The preferences in a text like "swin=zoo-swin,vit=zoo-vit" (the value of `ZOO_PREFER`): name -> distribution."""
    result: dict[str, str] = {}
    for part in filter(None, map(str.strip, text.split(","))):
        name, equals, distribution = map(str.strip, part.partition("="))
        if not (name and equals and distribution):
            raise PluginError(f"ZOO_PREFER={text!r}: {part!r} is not of the form NAME=DISTRIBUTION.")
        if result.setdefault(name, distribution) != distribution:
            raise PluginError(f"ZOO_PREFER={text!r} prefers two distributions for {name!r}.")
    return result
