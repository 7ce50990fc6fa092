"""From a name or reference to an opened checkpoint whose architecture, layout and configuration are known. Torch-free.

Only headers and small files are read here, so that `zoo info` and every refusal cost nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from zoo.checkpoint import Checkpoint, DirectoryFiles, ModelFiles, open_checkpoint, read_json, select_tensors
from zoo.composed_layout import composed_layout_in
from zoo.errors import (
    AmbiguousName,
    CheckpointError,
    ConfigError,
    NameNotFound,
    ReferenceNotFound,
    UnsupportedFeature,
    ZooError,
)
from zoo.hub import existing_path, is_reference, locate
from zoo.interfaces.layout import LayoutConfigs, ModelMetadata
from zoo.layouts import means
from zoo.log import logger
from zoo.registry import Entry, registry, resolve_object
from zoo.spec import ArchitectureSpec, LayoutSpec, PresetSpec, TaskSpec

__all__ = ["Source", "layout_of_config", "open_source", "preset_of", "presets_for", "unknown_name"]


T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Source:
    """An opened checkpoint and what is known of it before any tensor is read.

    reference: what the user gave. preset: the preset that it led to, if it was one. files: config.json and its kind.
    """

    reference: str
    checkpoint: Checkpoint
    files: ModelFiles
    metadata: ModelMetadata
    architecture: Entry[ArchitectureSpec]
    layout: Entry[LayoutSpec]
    configs: LayoutConfigs
    preset: Entry[PresetSpec] | None = None


def open_source(reference: str | os.PathLike[str], *, task: str | None = None) -> Source:
    """Open what a reference, preset or architecture name means.

    task: an architecture's name means its preset that was trained for this task, if it has one.

    A string that is written as a path or has a scheme is a reference; otherwise names come before the file system,
    so that a directory called `llama` is reached as `./llama`.
    """
    if isinstance(reference, str) and reference and not is_reference(reference):
        preset = preset_of(reference, task)
        if preset is not None:
            return _open_path(_locate_preset(preset), reference, preset)
        if existing_path(reference) is None:
            raise unknown_name(reference)
    return _open_path(locate(reference), str(reference), None)


def preset_of(name: str, task: str | None = None) -> Entry[PresetSpec] | None:
    """The preset of that name, or a preset of the architecture of that name: the default one for the task, else for the
    architecture; None when the name is neither's.
    """
    preset = registry().presets.find(name)
    if preset is not None:
        return preset
    architecture = registry().architectures.find(name)
    if architecture is None:
        return None
    default = architecture.spec.default_preset
    chosen = None if default is None else registry().presets.meant_by(architecture.distribution, default)
    if task is not None:
        trained = presets_for(architecture, registry().tasks.get(task))
        if chosen not in trained:
            chosen = _default_of(trained, architecture) or chosen
    if chosen is None:
        raise NameNotFound(
            f"The architecture '{name}' has no default preset, so there are no weights to load by that name.",
            hint="Pass a directory or file, or `zoo.create` for random weights.",
        )
    return chosen


def presets_for(architecture: Entry[ArchitectureSpec], task: Entry[TaskSpec]) -> list[Entry[PresetSpec]]:
    """The architecture's presets that were trained for a task."""
    return [
        preset
        for preset in registry().presets
        if preset.spec.task is not None
        and means(registry().tasks, preset, preset.spec.task, task)
        and means(registry().architectures, preset, preset.spec.architecture, architecture)
    ]


def _default_of(
    presets: Sequence[Entry[PresetSpec]], architecture: Entry[ArchitectureSpec]
) -> Entry[PresetSpec] | None:
    """The one that says of itself that it is the default; the architecture's own plugin has the first say."""
    claims = [preset for preset in presets if preset.spec.default]
    own = [preset for preset in claims if preset.distribution == architecture.distribution]
    claims = own or claims
    if len(claims) > 1:
        listing = ", ".join(f"{preset.full_name} {preset.version}" for preset in claims)
        raise AmbiguousName(
            f"Several presets say that they are what '{architecture.spec.name}' means for this task: {listing}.",
            hint="Load the one that you mean by its own name.",
        )
    return claims[0] if claims else None


def layout_of_config(metadata: ModelMetadata, architecture: Entry[ArchitectureSpec] | None) -> Entry[LayoutSpec] | None:
    """The layout that a config.json speaks of, of this architecture or, with None, of any; None where it speaks of
    none, or of several.
    """
    composed = composed_layout_in(metadata)
    if composed is not None:
        return composed
    matching = [
        layout
        for layout in _matching_layouts(metadata)[0]
        if architecture is None or means(registry().architectures, layout, layout.spec.architecture, architecture)
    ]
    return matching[0] if len(matching) == 1 else None


def unknown_name(name: str) -> ZooError:
    """The registry's own error, with near matches of both kinds, for a string that is neither a name nor a path."""
    try:
        registry().architectures.get(name)
    except NameNotFound as error:
        hints = [error.hint or ""]
        try:
            registry().presets.get(name)
        except NameNotFound as other:
            if other.hint and other.hint.startswith("Did you mean"):
                hints.append(f"Among presets: {other.hint.splitlines()[0]}")
        hints.append("`zoo list presets` shows what there is.")
        return NameNotFound(
            f"{error.message} It is no preset either, and there is no such file or directory.",
            hint="\n".join(filter(None, hints)),
        )
    raise AssertionError(f"{name} is an architecture")  # preset_of found it before


def _locate_preset(preset: Entry[PresetSpec]) -> Path:
    """The first of the preset's sources that can be had; an error that tells why each of them can't."""
    reasons = []
    for source in preset.spec.sources:
        try:
            path = locate(source)
        except (ReferenceNotFound, UnsupportedFeature) as error:
            reasons.append(str(error))
        else:
            logger.info("preset %s: using %s", preset.spec.name, source)
            return path
    listing = "\n".join(f"- {reason}" for reason in reasons)
    names = {preset.spec.name, *preset.spec.aliases, preset.spec.architecture.rpartition(":")[2]}
    here = sorted(name for name in names if existing_path(f".{os.sep}{name}") is not None)
    raise ReferenceNotFound(
        f"None of the sources of the preset '{preset.spec.name}' can be had:\n{listing}",
        hint=f"For what is here in the file system, write .{os.sep}{here[0]}" if here else None,
    )


def _open_path(path: Path, reference: str, preset: Entry[PresetSpec] | None) -> Source:
    checkpoint = _model_of(open_checkpoint(path))
    files = checkpoint.side_files
    metadata = ModelMetadata(
        format=checkpoint.format,
        location=str(path),
        config=read_json(files, "config.json") or {},
        metadata=checkpoint.metadata,
        tensors=checkpoint,
    )
    layout = _in_config(metadata, files, composed_layout_in) or _find_layout(metadata, files, preset)
    architecture = registry().architectures.meant_by(layout.distribution, layout.spec.architecture)
    configs = _in_config(metadata, files, resolve_object(layout.spec.read_config))
    return Source(
        reference=reference,
        checkpoint=checkpoint,
        files=files,
        metadata=metadata,
        architecture=architecture,
        layout=layout,
        configs=configs,
        preset=preset,
    )


def _in_config(metadata: ModelMetadata, files: ModelFiles, read: Callable[[ModelMetadata], T]) -> T:
    """What is read in config.json, which errors name."""
    try:
        return read(metadata)
    except (AmbiguousName, ConfigError, NameNotFound) as error:
        raise type(error)(f"{_config_place(metadata, files)}: {error.message}", hint=error.hint) from error


def _model_of(checkpoint: Checkpoint) -> Checkpoint:
    """The part of an opened file that is the model. What was odd about the file is said in the log."""
    for warning in checkpoint.warnings:
        logger.warning("%s: %s", checkpoint.location, warning)
    selection = checkpoint.selection
    if selection is None:
        return checkpoint
    try:
        chosen = select_tensors(checkpoint)
    except CheckpointError as error:
        if not selection.candidates:
            raise
        raise CheckpointError(
            error.message,
            hint=f"Take out the part that is the model: zoo migrate {checkpoint.location} OUT --select PART",
        ) from error
    if selection.path:
        logger.info("%s: loading '%s': %s", checkpoint.location, selection.path, selection.reason)
    return chosen


def _find_layout(
    metadata: ModelMetadata, files: ModelFiles, preset: Entry[PresetSpec] | None = None
) -> Entry[LayoutSpec]:
    matching, failures = _matching_layouts(metadata)
    matching = [entry for entry in matching if not entry.spec.fallback] or matching
    if len(matching) > 1:
        matching = _preferred(matching, preset)
    if len(matching) == 1:
        return matching[0]
    if matching:
        claims = ", ".join(f"{entry.full_name} {entry.version}" for entry in matching)
        raise AmbiguousName(
            f"{metadata.location}: several layouts recognise this checkpoint: {claims}.",
            hint="Uninstall one of these plugins, or leave it out of ZOO_PLUGINS, the list of those to load.",
        )
    error = _unknown_architecture(metadata, files)
    if failures:
        listing = "\n".join(f"- {failure}" for failure in failures)
        failed = f"These layouts could not be asked, and may be the one:\n{listing}"
        raise type(error)(error.message, hint=f"{error.hint}\n{failed}" if error.hint else failed)
    raise error


def _preferred(matching: list[Entry[LayoutSpec]], preset: Entry[PresetSpec] | None) -> list[Entry[LayoutSpec]]:
    """Of layouts for several architectures, those for the one that is meant: the preset's, else the one that the
    architecture's bare name means. Raises AmbiguousName, with the cures, when nothing says which that is.
    """
    catalog = registry().architectures
    owners = [(entry, catalog.meant_by(entry.distribution, entry.spec.architecture)) for entry in matching]
    if preset is not None:
        meant = catalog.meant_by(preset.distribution, preset.spec.architecture)
    elif len({owner.spec.name for _, owner in owners}) == 1:
        meant = catalog.get(owners[0][1].spec.name)
    else:
        return matching
    return [entry for entry, owner in owners if owner is meant] or matching


def _matching_layouts(metadata: ModelMetadata) -> tuple[list[Entry[LayoutSpec]], list[str]]:
    """The layouts that recognise a checkpoint, and what went wrong with those that could not be asked.

    Every plugin's layouts are asked about every checkpoint, so that a broken one must not stand in the others' way.
    """
    matching, failures = [], []
    for entry in registry().layouts.entries():
        try:
            if resolve_object(entry.spec.matches)(metadata):
                matching.append(entry)
        except (Exception, SystemExit) as error:
            reason = error.message if isinstance(error, ZooError) else f"{type(error).__name__}: {error}"
            failures.append(f"{entry.full_name} {entry.version}: {reason}")
            logger.warning("the layout %s was not asked about %s: %s", entry.full_name, metadata.location, reason)
    return matching, failures


def _unknown_architecture(metadata: ModelMetadata, files: ModelFiles) -> ConfigError | NameNotFound:
    if isinstance(files, DirectoryFiles) and files.read("config.json") is None:
        return ConfigError(
            f"{files.location}: there is no config.json, so the architecture of these tensors is not known.",
            hint="Copy config.json from where the weights came from into this directory.",
        )
    key, name = _declared_architecture(metadata, files)
    place = _config_place(metadata, files)
    if name is None:
        return ConfigError(f"{place}: field '{key}' is missing; it names the architecture.")
    if not isinstance(name, str):
        return ConfigError(f"{place}: field '{key}': expected str, found {type(name).__name__} {name!r}.")
    known = registry().architecture_for_model_type(name)
    if known is not None:
        classes = metadata.config.get("architectures")
        detail = f" with architectures={classes!r}" if classes else ""
        return ConfigError(
            f"{place}: the architecture '{known.full_name}' reads {key}={name!r}, "
            f"but none of its layouts fits this checkpoint ({metadata.format}{detail})."
        )
    hint = None
    try:
        registry().architectures.get(name)
    except NameNotFound as found:
        hint = found.hint
    return NameNotFound(f"{place}: no installed plugin reads {key}={name!r}.", hint=hint)


def _declared_architecture(metadata: ModelMetadata, files: ModelFiles) -> tuple[str, Any]:
    if metadata.config or isinstance(files, DirectoryFiles):
        return "model_type", metadata.config.get("model_type")
    return "general.architecture", metadata.metadata.get("general.architecture")


def _config_place(metadata: ModelMetadata, files: ModelFiles) -> str:
    if metadata.config or isinstance(files, DirectoryFiles):
        return str(Path(files.location) / "config.json")
    return metadata.location
