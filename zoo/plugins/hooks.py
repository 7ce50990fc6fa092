"""The hooks a plugin can implement: the whole contract between zoo and a plugin package.

A plugin is a module (or any object) with functions of these names, marked with `hookimpl`, that an entry point of the
group `zoo.plugins` leads to. Each hook is called once, and returns frozen records made of strings (see `zoo.spec`), so
that the module needs to import nothing but `zoo.plugins` and `zoo.spec`.

Arguments may be given to these hooks later: pluggy passes an implementation only those that it names.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

import pluggy

from zoo.spec import (
    ArchitectureSpec,
    AttentionSpec,
    CommandSpec,
    FormatSpec,
    HeadSpec,
    LayoutSpec,
    Manifest,
    NeckSpec,
    PreprocessorSpec,
    PresetSpec,
    Spec,
    TaskSpec,
)

__all__ = [
    "ENTRY_POINT_GROUP",
    "PROJECT",
    "SPEC_TYPES",
    "hookimpl",
    "zoo_architectures",
    "zoo_attention",
    "zoo_commands",
    "zoo_formats",
    "zoo_heads",
    "zoo_layouts",
    "zoo_manifest",
    "zoo_necks",
    "zoo_preprocessors",
    "zoo_presets",
    "zoo_tasks",
]

PROJECT = "zoo"
ENTRY_POINT_GROUP = "zoo.plugins"
"""The group of entry points by which plugins are found."""

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)
"""Marks a function of a plugin as the implementation of the hook of that name."""

SPEC_TYPES: Mapping[str, type[Spec]] = MappingProxyType(
    {
        "architectures": ArchitectureSpec,
        "heads": HeadSpec,
        "necks": NeckSpec,
        "tasks": TaskSpec,
        "preprocessors": PreprocessorSpec,
        "layouts": LayoutSpec,
        "presets": PresetSpec,
        "formats": FormatSpec,
        "attention": AttentionSpec,
        "commands": CommandSpec,
    }
)
"""The kinds of contribution and the record of each. The hook of a kind is `zoo_` and its name."""


# pluggy reads a specification's name and arguments, never its body.


@hookspec
def zoo_manifest() -> Manifest:  # type: ignore[empty-body]
    """What the plugin says of itself, above all the version of the contract it was written for. Each has it."""


@hookspec
def zoo_architectures() -> Iterable[ArchitectureSpec]:  # type: ignore[empty-body]
    """Backbones: their configuration, their model and the preprocessor that feeds them."""


@hookspec
def zoo_heads() -> Iterable[HeadSpec]:  # type: ignore[empty-body]
    """Heads, which turn the features of any architecture that meets their needs into a task's output."""


@hookspec
def zoo_necks() -> Iterable[NeckSpec]:  # type: ignore[empty-body]
    """Necks, which adapt an architecture's features to a head."""


@hookspec
def zoo_tasks() -> Iterable[TaskSpec]:  # type: ignore[empty-body]
    """Tasks: what goes in, what comes out, and the pipeline that does it."""


@hookspec
def zoo_preprocessors() -> Iterable[PreprocessorSpec]:  # type: ignore[empty-body]
    """Preprocessors, which turn texts, images or sounds into a model's inputs."""


@hookspec
def zoo_layouts() -> Iterable[LayoutSpec]:  # type: ignore[empty-body]
    """How an architecture, alone or with a head, lies on disk. The architecture may be another plugin's."""


@hookspec
def zoo_presets() -> Iterable[PresetSpec]:  # type: ignore[empty-body]
    """Published weights under short names. The architecture may be another plugin's."""


@hookspec
def zoo_formats() -> Iterable[FormatSpec]:  # type: ignore[empty-body]
    """File formats of checkpoints."""


@hookspec
def zoo_attention() -> Iterable[AttentionSpec]:  # type: ignore[empty-body]
    """Attention backends."""


@hookspec
def zoo_commands() -> Iterable[CommandSpec]:  # type: ignore[empty-body]
    """Subcommands of the command `zoo`."""
