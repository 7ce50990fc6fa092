"""Loading: from a reference to a model and its preprocessor; and models with random weights."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from zoo.building import AnyModel, build, initialise, initialise_parts
from zoo.checkpoint import DirectoryFiles, ModelFiles, read_json, with_aliases
from zoo.composing import DEFAULT_TASK, Composition, Request, compose, composition_in
from zoo.differences import Difference, canonical_tensors, difference
from zoo.errors import ConfigError, InvalidInput, NameNotFound, UnsupportedFeature, UntrainedHead
from zoo.hub import existing_path, is_reference, locate
from zoo.interfaces.config import Config
from zoo.interfaces.layout import LayoutConfigs, ModelMetadata
from zoo.interfaces.preprocessor import Preprocessor
from zoo.interfaces.task_model import ComposedTaskModel
from zoo.layouts import key_map_of
from zoo.log import logger
from zoo.nn.attention import bind_attention
from zoo.registry import Entry, registry, resolve_object
from zoo.source import Source, layout_of_config, open_source, preset_of, presets_for, unknown_name
from zoo.spec import ArchitectureSpec
from zoo.weights.assign import LoadReport, assign_weights, decoded_encodings, plan_assignment
from zoo.weights.derived import reset_derived
from zoo.weights.dtype import choose_dtype, declared_dtype, parse_dtype
from zoo.weights.meta import without_initialisation

__all__ = ["create", "load"]

MOST_NAMES = 6
"""Of untrained tensors, that are told one by one."""


def load(
    reference: str | os.PathLike[str],
    *,
    task: str | None = DEFAULT_TASK,
    dtype: str | torch.dtype = "auto",
    device: str | torch.device = "auto",
    attention: str = "auto",
    head: str | None = None,
    neck: str | None = None,
    init_head: bool = False,
    labels: Sequence[str] | None = None,
    num_labels: int | None = None,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Any, Any]:
    """Load a model and its preprocessor.

    reference: the name of an architecture or preset, a directory, a file, or pkg://DISTRIBUTION/path.
    task: a task's name or alias; "default" for what `head` or, without it, the checkpoint's head is for; None for the
    bare backbone. The name of an architecture means its preset that was trained for the task, where it has one and
    init_head is not given.
    dtype: "auto" keeps what is stored, without a copy; otherwise "float32", "bfloat16", ... or a torch.dtype.
    device: "auto" is the first accelerator, or the CPU. attention: the name of a backend, or "auto".
    head: a head other than the task's default. neck: what adapts the backbone's features to the head, e.g.
    "simple_fpn"; by default that of the checkpoint, for its own task, or of the pair's usual layout. init_head:
    initialise what the checkpoint has no weights for of the head and the neck, drawing from `seed`; the head gets
    `labels`, or `num_labels` unnamed ones; by default the checkpoint's, for its own task.
    progress: called with the bytes done and the bytes in all.

    Returns (model, preprocessor), the model in evaluation mode; the preprocessor is None when the checkpoint has no
    files for one. Raises children of ZooError: ReferenceNotFound, NameNotFound, ConfigError, CompositionError,
    UntrainedHead, CheckpointError, ...
    """
    request = Request(task=task, head=head, neck=neck, labels=labels, num_labels=num_labels)
    source = open_source(reference, task=None if init_head or task == DEFAULT_TASK else task)
    stored = composition_in(source.architecture, source.layout, source.configs)
    composition = compose(stored, request)
    _refuse_quantised(source)
    target_device = _parse_device(device)
    generator = _generator(seed)
    # What else may be wrong with the files is found before the weights, which take longest.
    generation_config = read_json(source.files, "generation_config.json") or {}
    preprocessor = _load_preprocessor(source.architecture, source.files, source.metadata.config)
    model = build(composition)
    differing = difference(model, composition, stored)
    if differing.untrained and not init_head:
        raise _untrained(source, stored, composition, differing.untrained)
    report = _load_weights(model, source, composition, differing, dtype, target_device, generator, progress)
    bind_attention(model, attention)
    model.origin = composition.origin(reference=source.reference, generation_config=generation_config, report=report)
    return model.eval(), preprocessor


def create(
    config: str | os.PathLike[str] | Config | Mapping[str, Any],
    *,
    task: str | None = DEFAULT_TASK,
    head: str | None = None,
    neck: str | None = None,
    seed: int = 0,
    dtype: str | torch.dtype = "float32",
    device: str | torch.device = "auto",
    attention: str = "auto",
    labels: Sequence[str] | None = None,
    num_labels: int | None = None,
) -> Any:
    """A model with random weights, the same ones for the same seed, whatever the device and dtype.

    config: an architecture's configuration, the contents of a config.json, a directory that holds one, or the name of
    a preset or of an architecture (its default preset, else its default configuration). The rest as in `load`.
    """
    request = Request(task=task, head=head, neck=neck, labels=labels, num_labels=num_labels)
    composition = compose(_stated(*_hub_config(config)), request)
    target_device, target_dtype = _parse_device(device), parse_dtype(dtype)
    generator = _generator(seed)
    if target_device.type == "meta":
        model = build(composition)
    else:
        model = build(composition, without_initialisation)
        initialise(model, generator)
    model.to(device=target_device, dtype=target_dtype)
    reset_derived(model, target_device)
    bind_attention(model, attention)
    model.origin = composition.origin()
    return model.eval()


def _stated(values: Mapping[str, Any], architecture: Entry[ArchitectureSpec] | None) -> Composition:
    """What the contents of a config.json say that a model consists of. architecture: None where `model_type` is none's,
    as of a whole that names its backbone inside.
    """
    metadata = ModelMetadata(format="safetensors", location="(config)", config=values)
    layout = layout_of_config(metadata, architecture)
    if layout is not None:
        architecture = registry().architectures.meant_by(layout.distribution, layout.spec.architecture)
        return composition_in(architecture, layout, resolve_object(layout.spec.read_config)(metadata))
    if architecture is None:
        architecture = registry().architectures.get(values["model_type"])
    config = resolve_object(architecture.spec.config).from_hub(values)
    return composition_in(architecture, None, LayoutConfigs(architecture=config))


def _untrained(
    source: Source, stored: Composition, composition: Composition, untrained: Sequence[str]
) -> UntrainedHead:
    assert composition.head is not None and composition.task is not None
    has = "no head"
    if stored.head is not None:
        has = f"a trained '{stored.head.spec.name}' head{_labels('for', stored.head_config)}"
        if stored.task is not None and stored.task is not composition.task:
            has += f", for the task '{stored.task.spec.name}'"
        elif stored.head is composition.head and stored.neck is not composition.neck:
            has += ", behind another neck"
        elif stored.head is composition.head and _label_count(stored.head_config) == _label_count(
            composition.head_config
        ):
            has += ", which have other names"
    asked = stored.task is composition.task  # else the number of labels is a default, which nobody asked for
    needed = f"the head '{composition.head.spec.name}'{_labels('with', composition.head_config) if asked else ''}"
    if composition.neck is not None and any(name.startswith("neck.") for name in untrained):
        needed = f"the neck '{composition.neck.spec.name}' and {needed}"
    trained = [preset.spec.name for preset in presets_for(composition.architecture, composition.task)]
    instead = f" Trained for it: {', '.join(trained[:5])}." if trained and source.preset is not None else ""
    return UntrainedHead(
        f"{source.metadata.location}: there are no trained weights for {needed}, "
        f"which the task '{composition.task.spec.name}' needs; the checkpoint has {has}.",
        hint="To train it, pass init_head=True (with num_labels=N or labels=[...] where it has labels). "
        f"For the bare backbone, pass task=None.{instead}",
    )


def _label_count(head_config: Any) -> int:
    return len(getattr(head_config, "labels", ()))


def _labels(preposition: str, head_config: Any) -> str:
    """How many labels a head has, to be said after its name."""
    count = _label_count(head_config)
    return f" {preposition} {count} label{'s' if count > 1 else ''}" if count else ""


def _load_weights(
    model: AnyModel,
    source: Source,
    composition: Composition,
    differing: Difference,
    dtype: str | torch.dtype,
    device: torch.device,
    generator: torch.Generator,
    progress: Callable[[int, int], None] | None,
) -> LoadReport:
    _refuse_unsupported(source)
    stored = with_aliases(source.checkpoint)
    chosen_dtype = choose_dtype(source.checkpoint.values(), dtype, declared_dtype(source.metadata.config))
    composed = isinstance(model, ComposedTaskModel)
    assignment = plan_assignment(
        canonical_tensors(model),
        stored,
        key_map_of(source.layout, source.configs),
        ties=differing.ties,
        unused=differing.unused,
        untrained=differing.untrained,
        location=source.metadata.location,
    )
    prefix = "" if composed else "backbone."
    assign_weights(model, assignment, stored, prefix=prefix, dtype=chosen_dtype, device=device, progress=progress)
    if isinstance(model, ComposedTaskModel):
        initialise_parts(model, composition, differing.untrained, device, generator)
        model.bind()
    reset_derived(model, device)
    for name, reason in assignment.ignored.items():
        logger.debug("%s: ignored, since %s", name, reason)
    if differing.untrained:
        named = differing.untrained if len(differing.untrained) <= MOST_NAMES else _modules(differing.untrained)
        count, seed = len(differing.untrained), generator.initial_seed()
        logger.warning("untrained, %d tensors initialised from seed %d: %s", count, seed, ", ".join(named))
    return LoadReport(
        ignored=assignment.ignored,
        duplicates=tuple(assignment.duplicates),
        decoded=decoded_encodings(assignment, stored),
        untrained=differing.untrained,
    )


def _modules(names: Sequence[str]) -> list[str]:
    """The modules that tensors are of, two names deep: "head.laterals.*"."""
    return list(dict.fromkeys(f"{'.'.join(name.split('.')[:2])}.*" for name in names))


def _load_preprocessor(
    architecture: Entry[ArchitectureSpec], files: ModelFiles, config: Mapping[str, Any]
) -> Preprocessor | None:
    spec = registry().preprocessors.meant_by(architecture.distribution, architecture.spec.preprocessor).spec
    preprocessor: Preprocessor | None = resolve_object(spec.preprocessor).from_files(files, config)
    if preprocessor is None:
        logger.info("%s: no files for the preprocessor '%s'; it is None", files.location, spec.name)
    return preprocessor


def _hub_config(
    config: str | os.PathLike[str] | Config | Mapping[str, Any],
) -> tuple[Mapping[str, Any], Entry[ArchitectureSpec] | None]:
    """The contents of config.json that are meant, and the architecture that its `model_type` is of, if it is of one."""
    if isinstance(config, (str, os.PathLike)):
        return _hub_config_by_name(config)
    if isinstance(config, Mapping):
        name = config.get("model_type")
        if not isinstance(name, str):
            raise ConfigError(f"field 'model_type': expected the name of an architecture, found {name!r}.")
        entry = registry().architecture_for_model_type(name)
        return config, entry if entry is not None else registry().architectures.find(name)
    path = f"{type(config).__module__}:{type(config).__qualname__}"
    for entry in registry().architectures.entries():
        if entry.spec.config == path:
            return config.to_hub(), entry
    raise NameNotFound(f"No registered architecture has configurations of the type {path}.")


def _hub_config_by_name(
    reference: str | os.PathLike[str],
) -> tuple[Mapping[str, Any], Entry[ArchitectureSpec] | None]:
    if isinstance(reference, str) and not is_reference(reference):
        architecture = registry().architectures.find(reference)
        if architecture is not None and architecture.spec.default_preset is None:
            return {}, architecture
        preset = preset_of(reference)
        if preset is not None:
            return preset.spec.config, registry().architectures.meant_by(preset.distribution, preset.spec.architecture)
        if existing_path(reference) is None:
            raise unknown_name(reference)
    directory = locate(reference)
    if not directory.is_dir():
        raise InvalidInput(
            f"{directory} is a file. `zoo.create` takes a configuration, the name of a preset or architecture, or a "
            "directory with a config.json."
        )
    values = read_json(DirectoryFiles(directory), "config.json")
    if values is None:
        raise ConfigError(f"{os.fspath(reference)}: there is no config.json in this directory.")
    return _hub_config(values)


def _generator(seed: int) -> torch.Generator:
    """Draws from the seed, which is what torch takes for one."""
    if type(seed) is not int or not -(2**63) <= seed < 2**64:
        raise InvalidInput(f"seed={seed!r}: a whole number from -2**63 to 2**64 - 1 was expected.")
    return torch.Generator().manual_seed(seed)


def _parse_device(device: str | torch.device) -> torch.device:
    """The device that is meant, tried out: a device that torch knows by name need not be there."""
    if isinstance(device, str) and device == "auto":
        accelerator = torch.accelerator.current_accelerator(check_available=True)
        return accelerator if accelerator is not None else torch.device("cpu")
    try:
        found = torch.device(device)
        if found.type != "meta":
            torch.empty(1, device=found)
    except (RuntimeError, AssertionError, NotImplementedError, TypeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InvalidInput(f"device={device!r} can't be used: {reason}") from error
    return found


def _refuse_quantised(source: Source) -> None:
    """Weights that need a quantisation's own arithmetic would load as numbers that mean something else."""
    quantisation = source.metadata.config.get("quantization_config")
    if quantisation:
        method = quantisation.get("quant_method", "?") if isinstance(quantisation, Mapping) else quantisation
        raise UnsupportedFeature(
            f"{source.metadata.location}: config.json says that the weights are quantised ({method}), which zoo does "
            "not read; it reads quantised weights in GGUF."
        )


def _refuse_unsupported(source: Source) -> None:
    unsupported = source.checkpoint.unsupported
    if unsupported:
        listing = "\n".join(f"  {name}: {reason}" for name, reason in unsupported.items())
        raise UnsupportedFeature(f"{source.metadata.location}: some of its tensors can't be read:\n{listing}")
