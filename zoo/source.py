"""From a name or reference to an opened checkpoint whose architecture, layout and configuration are known. Torch-free.

Only headers and small files are read here, so that `zoo info` and every refusal cost nothing.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.checkpoint import Checkpoint, DirectoryFiles, ModelFiles, open_checkpoint, read_json, select_tensors
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
from zoo.log import logger
from zoo.registry import Entry, registry, resolve_object
from zoo.spec import ArchitectureSpec, LayoutSpec, PresetSpec

__all__ = ["Source", "open_source", "preset_of", "unknown_name"]


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


def open_source(reference: str | os.PathLike[str]) -> Source:
    """Open what a reference, preset or architecture name means.

    A string that is written as a path or has a scheme is a reference; otherwise names come before the file system,
    so that a directory called `llama` is reached as `./llama`.
    """
    if isinstance(reference, str) and reference and not is_reference(reference):
        preset = preset_of(reference)
        if preset is not None:
            return _open_path(_locate_preset(preset), reference, preset)
        if existing_path(reference) is None:
            raise unknown_name(reference)
    return _open_path(locate(reference), str(reference), None)


def preset_of(name: str) -> Entry[PresetSpec] | None:
    """The preset of that name, or the default preset of the architecture of that name; None when it is neither."""
    preset = registry().presets.find(name)
    if preset is not None:
        return preset
    architecture = registry().architectures.find(name)
    if architecture is None:
        return None
    if architecture.spec.default_preset is None:
        raise NameNotFound(
            f"The architecture '{name}' has no default preset, so there are no weights to load by that name.",
            hint="Pass a directory or file, or `zoo.create` for random weights.",
        )
    return registry().presets.meant_by(architecture.distribution, architecture.spec.default_preset)


def unknown_name(name: str) -> ZooError:
    """The registry's own error, with near matches of both kinds, for a string that is neither a name nor a path."""
    try:
        registry().architectures.get(name)
    except NameNotFound as error:
        presets = ", ".join(entry.spec.name for entry in registry().presets.entries())
        return NameNotFound(
            f"{error.message} It is no preset either{f' (there are: {presets})' if presets else ''}, "
            "and there is no such file or directory.",
            hint=error.hint,
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
    raise ReferenceNotFound(f"None of the sources of the preset '{preset.spec.name}' can be had:\n{listing}")


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
    layout = _find_layout(metadata, files, preset)
    architecture = registry().architectures.meant_by(layout.distribution, layout.spec.architecture)
    try:
        configs = resolve_object(layout.spec.read_config)(metadata)
    except ConfigError as error:
        raise ConfigError(f"{_config_place(metadata, files)}: {error.message}", hint=error.hint) from error
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
