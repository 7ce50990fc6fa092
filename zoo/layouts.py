"""Which layout a pair of architecture and head is written in, and the key map of a layout."""

from __future__ import annotations

from zoo.errors import AmbiguousName
from zoo.interfaces.layout import LayoutConfigs
from zoo.registry import Entry, registry, resolve_object
from zoo.spec import ArchitectureSpec, HeadSpec, LayoutSpec
from zoo.weights.key_map import KeyMap

__all__ = ["key_map_of", "writable_layout"]


def writable_layout(architecture: Entry[ArchitectureSpec], head: Entry[HeadSpec] | None) -> Entry[LayoutSpec] | None:
    """The layout that the pair is saved in, None when no plugin brings one.

    One of the architecture's own plugin comes first.
    """
    found = [
        entry
        for entry in registry().layouts.entries()
        if entry.spec.write_config is not None
        and architecture.goes_by(entry.spec.architecture)
        and (head is None) == (entry.spec.head is None)
        and (head is None or head.goes_by(entry.spec.head or ""))
    ]
    ranked = sorted(found, key=lambda entry: _rank(entry, architecture))
    best = [entry for entry in ranked if _rank(entry, architecture) == _rank(ranked[0], architecture)]
    if len(best) > 1:
        claims = ", ".join(f"{entry.full_name} {entry.version}" for entry in best)
        raise AmbiguousName(
            f"Several layouts say how '{architecture.spec.name}' is written: {claims}.",
            hint="Uninstall one of these plugins, or leave it out of ZOO_PLUGINS.",
        )
    return best[0] if best else None


def key_map_of(layout: Entry[LayoutSpec], configs: LayoutConfigs) -> KeyMap:
    """The layout's key map, made for these configurations where it depends on them."""
    key_map = resolve_object(layout.spec.key_map)
    made: KeyMap = key_map if isinstance(key_map, KeyMap) else key_map(configs)
    return made


def _rank(layout: Entry[LayoutSpec], architecture: Entry[ArchitectureSpec]) -> tuple[bool, bool]:
    return layout.spec.fallback, layout.distribution != architecture.distribution
