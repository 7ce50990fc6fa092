"""What every contribution of a plugin is described by, and what its own kind adds: nothing but specs is read."""

from __future__ import annotations

from typing import Any

from zoo.describe.json_types import Description
from zoo.errors import AmbiguousName
from zoo.registry import Catalog, Entry, registry
from zoo.spec import (
    ArchitectureSpec,
    AttentionSpec,
    CommandSpec,
    FeatureRequirement,
    FormatSpec,
    HeadSpec,
    LayoutSpec,
    NeckSpec,
    PreprocessorSpec,
    PresetSpec,
    Spec,
    TaskSpec,
)

__all__ = ["describe_entry", "shortest_name"]


def shortest_name(catalog: Catalog[Any], entry: Entry[Any]) -> str:
    """The bare name where it means this entry, the full name where another one claims it, too."""
    try:
        means_it = catalog.find(entry.spec.name) is entry
    except AmbiguousName:
        means_it = False
    return str(entry.spec.name) if means_it else entry.full_name


def describe_entry(catalog: Catalog[Any], entry: Entry[Any]) -> Description:
    """An entry of a catalog: its name, where it comes from, and what its spec says."""
    spec: Spec = entry.spec
    return {
        "name": shortest_name(catalog, entry),
        "full_name": entry.full_name,
        "aliases": list(spec.aliases),
        "plugin": entry.plugin,
        "version": entry.version,
        "fallback": spec.fallback,
        **_own_fields(spec),
        "summary": spec.summary,
    }


def _own_fields(spec: Spec) -> Description:
    match spec:
        case ArchitectureSpec():
            return {
                "modality": spec.modality,
                "model_types": list(spec.model_types),
                "default_task": _shortest(registry().tasks, spec.default_task),
                "default_preset": spec.default_preset,
                "preprocessor": _shortest(registry().preprocessors, spec.preprocessor),
                "paper": spec.paper or None,
            }
        case TaskSpec():
            return {
                "inputs": spec.inputs,
                "outputs": spec.outputs,
                "default_heads": dict(spec.default_heads),
                "headless": spec.headless,
                "has_pipeline": spec.pipeline is not None,
            }
        case HeadSpec():
            requires = [_requirement(requirement) for requirement in spec.requirements]
            return {"task": spec.task, "requires": requires[0] if len(requires) == 1 else requires}
        case NeckSpec():
            return {"requires": _requirement(spec.requires)}
        case PresetSpec():
            return {
                "architecture": spec.architecture,
                "task": None if spec.task is None else _shortest(registry().tasks, spec.task),
                "sources": list(spec.sources),
                "size_bytes": spec.size_bytes,
                "licence": spec.licence or None,
            }
        case LayoutSpec():
            return {
                "architecture": spec.architecture,
                "head": None if spec.head is None else _shortest(registry().heads, spec.head),
                "neck": None if spec.neck is None else _shortest(registry().necks, spec.neck),
                "class_name": spec.class_name,
                "writable": spec.write_config is not None,
            }
        case FormatSpec():
            return {"suffixes": list(spec.suffixes), "magic": [magic.hex() for magic in spec.magics]}
        case PreprocessorSpec():
            return {"modality": spec.modality}
        case AttentionSpec():
            return {"priority": spec.priority}
        case CommandSpec():
            return {"command": spec.command}
    return {}


def _shortest(catalog: Catalog[Any], name: str) -> str:
    """What a spec refers to, under its shortest name; as the spec says it where that means nothing or several."""
    try:
        entry = catalog.find(name)
    except AmbiguousName:
        return name
    return name if entry is None else shortest_name(catalog, entry)


def _requirement(requires: FeatureRequirement) -> Description:
    return {
        "kind": requires.kind,
        "modality": requires.modality,
        "causal": requires.causal,
        "strides": list(requires.strides),
        "prefix_tokens": requires.prefix_tokens,
    }
