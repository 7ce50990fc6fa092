"""Which layout a backbone, with a neck and a head, is written in, and the key map of a layout. Torch-free."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zoo.errors import AmbiguousName
from zoo.interfaces.layout import LayoutConfigs
from zoo.plugins.records import S
from zoo.registry import Catalog, Entry, registry, resolve_object
from zoo.spec import ArchitectureSpec, HeadSpec, LayoutSpec, NeckSpec

if TYPE_CHECKING:
    from zoo.weights.key_map import KeyMap

__all__ = ["key_map_of", "layout_of_pair", "means", "writable_layout"]


def writable_layout(
    architecture: Entry[ArchitectureSpec], head: Entry[HeadSpec] | None, neck: Entry[NeckSpec] | None = None
) -> Entry[LayoutSpec] | None:
    """The layout that the architecture is saved in with this head, through this neck or none; None when no plugin
    brings one.

    One of the architecture's own plugin comes first.
    """
    found = _layouts(architecture, head)
    return _best(architecture, [entry for entry in found if means(registry().necks, entry, entry.spec.neck, neck)])


def layout_of_pair(
    architecture: Entry[ArchitectureSpec], head: Entry[HeadSpec], neck: Entry[NeckSpec] | None
) -> Entry[LayoutSpec] | None:
    """Like `writable_layout`, where a neck that was not named may be the one of the pair's only layout."""
    layout = writable_layout(architecture, head, neck)
    if layout is None and neck is None:
        layout = _best(architecture, _layouts(architecture, head))
    return layout


def key_map_of(layout: Entry[LayoutSpec], configs: LayoutConfigs) -> KeyMap:
    """The layout's key map, made for these configurations where it depends on them."""
    key_map = resolve_object(layout.spec.key_map)
    made: KeyMap = key_map(configs) if callable(key_map) else key_map
    return made


def means(catalog: Catalog[S], speaker: Entry[Any], name: str | None, entry: Entry[S] | None) -> bool:
    """Whether a spec that says this name means this entry, or none by none: of several that go by it, that of the
    spec's own distribution.
    """
    if name is None or entry is None:
        return name is None and entry is None
    if not entry.goes_by(name):
        return False
    return ":" in name or catalog.find(f"{speaker.distribution}:{name}") in (None, entry)


def _layouts(architecture: Entry[ArchitectureSpec], head: Entry[HeadSpec] | None) -> list[Entry[LayoutSpec]]:
    """Those that the architecture is written in with the head, whatever the neck."""
    return [
        entry
        for entry in registry().layouts.entries()
        if entry.spec.write_config is not None
        and means(registry().architectures, entry, entry.spec.architecture, architecture)
        and means(registry().heads, entry, entry.spec.head, head)
    ]


def _best(architecture: Entry[ArchitectureSpec], found: list[Entry[LayoutSpec]]) -> Entry[LayoutSpec] | None:
    ranked = sorted(found, key=lambda entry: _rank(entry, architecture))
    best = [entry for entry in ranked if _rank(entry, architecture) == _rank(ranked[0], architecture)]
    if len(best) > 1:
        claims = ", ".join(f"{entry.full_name} {entry.version}" for entry in best)
        raise AmbiguousName(
            f"Several layouts say how '{architecture.spec.name}' is written: {claims}.",
            hint="Uninstall one of these plugins, or leave it out of ZOO_PLUGINS.",
        )
    return best[0] if best else None


def _rank(layout: Entry[LayoutSpec], architecture: Entry[ArchitectureSpec]) -> tuple[bool, bool]:
    return layout.spec.fallback, layout.distribution != architecture.distribution
