"""Loading: from a reference to a model and its preprocessor; and models with random weights."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from zoo.checkpoint import DirectoryFiles, ModelFiles, read_json, with_aliases
from zoo.composition import choose_head, features_for
from zoo.errors import ConfigError, InvalidInput, NameNotFound, UnsupportedFeature, UntrainedHead
from zoo.hub import existing_path, is_reference, locate
from zoo.interfaces.config import Config
from zoo.interfaces.layout import LayoutConfigs, ModelMetadata
from zoo.interfaces.model import Model
from zoo.interfaces.origin import Origin
from zoo.interfaces.preprocessor import Preprocessor
from zoo.interfaces.task_model import ComposedTaskModel
from zoo.layouts import key_map_of, writable_layout
from zoo.log import logger
from zoo.nn.attention import bind_attention
from zoo.registry import Entry, registry, resolve_object
from zoo.source import Source, open_source, preset_of, unknown_name
from zoo.spec import ArchitectureSpec, HeadSpec, LayoutSpec, TaskSpec
from zoo.tasks.head_configs import MAX_LABELS
from zoo.weights.assign import LoadReport, assign_weights, decoded_encodings, plan_assignment
from zoo.weights.derived import reset_derived
from zoo.weights.dtype import choose_dtype, declared_dtype, parse_dtype
from zoo.weights.meta import without_memory

__all__ = ["create", "load"]

DEFAULT_TASK = "default"
"""As `task`: what the checkpoint's head is for or, where it has no head, the architecture's own default."""

AnyModel = Model | ComposedTaskModel


@dataclass(frozen=True, kw_only=True)
class _Composition:
    """What is to be built: names and configurations, nothing allocated."""

    architecture: Entry[ArchitectureSpec]
    config: Config
    task: Entry[TaskSpec] | None
    head: Entry[HeadSpec] | None
    head_config: Any

    def build(self) -> AnyModel:
        """The modules, without memory. Raises ConfigError for a configuration that no tensors can be made of."""
        try:
            with without_memory():
                return self._modules()
        except (RuntimeError, TypeError, OverflowError) as error:  # what torch raises for sizes past its own
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise ConfigError(
                f"{self.architecture.full_name}: no model can be built of this configuration: {reason}"
            ) from error

    def _modules(self) -> AnyModel:
        backbone: Model = resolve_object(self.architecture.spec.model)(self.config)
        if self.head is None or self.task is None:
            return backbone
        features = features_for(self.head.spec, self.config.feature_specs())
        head = resolve_object(self.head.spec.head)(features, self.head_config)
        model: ComposedTaskModel = resolve_object(self.task.spec.model)(backbone, head)
        return model

    def origin(self, **facts: Any) -> Origin:
        return Origin(
            architecture=self.architecture.full_name,
            head=self.head.full_name if self.head is not None else None,
            task=self.task.spec.name if self.task is not None else None,
            **facts,
        )


def load(
    reference: str | os.PathLike[str],
    *,
    task: str | None = DEFAULT_TASK,
    dtype: str | torch.dtype = "auto",
    device: str | torch.device = "auto",
    attention: str = "auto",
    head: str | None = None,
    init_head: bool = False,
    labels: Sequence[str] | None = None,
    num_labels: int | None = None,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Any, Any]:
    """Load a model and its preprocessor.

    reference: the name of an architecture or preset, a directory, a file, or pkg://DISTRIBUTION/path.
    task: a task's name or alias; "default" for what the checkpoint's head is for; None for the bare backbone.
    dtype: "auto" keeps what is stored, without a copy; otherwise "float32", "bfloat16", ... or a torch.dtype.
    device: "auto" is the first accelerator, or the CPU. attention: the name of a backend, or "auto".
    head: a head other than the task's default. init_head: initialise a head that the checkpoint has no weights for,
    drawing from `seed`; it gets `labels`, or `num_labels` unnamed ones. progress: called with the bytes done and the
    bytes in all.

    Returns (model, preprocessor), the model in evaluation mode; the preprocessor is None when the checkpoint has no
    files for one. Raises children of ZooError: ReferenceNotFound, NameNotFound, ConfigError, CompositionError,
    UntrainedHead, CheckpointError, ...
    """
    source = open_source(reference)
    composition = _compose(source, task, head, labels, num_labels)
    _refuse_quantised(source)
    target_device = _parse_device(device)
    generator = _generator(seed)
    # What else may be wrong with the files is found before the weights, which take longest.
    generation_config = read_json(source.files, "generation_config.json") or {}
    preprocessor = _load_preprocessor(source.architecture, source.files, source.metadata.config)
    model = composition.build()
    trained = _has_trained_head(source, composition)
    untrained = () if trained else _head_parameters(model)
    if untrained and not init_head:
        raise _untrained(source, composition)
    report = _load_weights(model, source, trained, untrained, dtype, target_device, generator, progress)
    bind_attention(model, attention)
    model.origin = composition.origin(reference=source.reference, generation_config=generation_config, report=report)
    return model.eval(), preprocessor


def create(
    config: str | os.PathLike[str] | Config | Mapping[str, Any],
    *,
    task: str | None = DEFAULT_TASK,
    head: str | None = None,
    seed: int = 0,
    dtype: str | torch.dtype = "float32",
    device: str | torch.device = "auto",
    attention: str = "auto",
    labels: Sequence[str] | None = None,
    num_labels: int | None = None,
) -> Any:
    """A model with random weights, the same ones for the same seed, whatever the device and dtype.

    config: an architecture's configuration, the contents of a config.json, a directory that holds one, or the name of
    a preset or of an architecture (its default preset). The rest as in `load`.
    """
    values, architecture = _hub_config(config)
    composition = _compose_from_config(architecture, values, task, head, labels, num_labels)
    target_device, target_dtype = _parse_device(device), parse_dtype(dtype)
    generator = _generator(seed)
    model = composition.build()
    if target_device.type != "meta":
        _initialise(model, generator)
    model.to(device=target_device, dtype=target_dtype)
    reset_derived(model, target_device)
    bind_attention(model, attention)
    model.origin = composition.origin()
    return model.eval()


def _compose(
    source: Source, task: str | None, head: str | None, labels: Sequence[str] | None, num_labels: int | None
) -> _Composition:
    layout_head = _layout_head(source.layout)
    if task == DEFAULT_TASK:
        task = _default_task(source.architecture) if layout_head is None else _task_of(layout_head)
    return _with_head(source.architecture, source.configs, layout_head, task, head, labels, num_labels)


def _layout_head(layout: Entry[LayoutSpec]) -> Entry[HeadSpec] | None:
    name = layout.spec.head
    return None if name is None else registry().heads.meant_by(layout.distribution, name)


def _task_of(head: Entry[HeadSpec]) -> str:
    return registry().tasks.meant_by(head.distribution, head.spec.task).full_name


def _default_task(architecture: Entry[ArchitectureSpec]) -> str:
    return registry().tasks.meant_by(architecture.distribution, architecture.spec.default_task).full_name


def _compose_from_config(
    architecture: Entry[ArchitectureSpec],
    values: Mapping[str, Any],
    task: str | None,
    head: str | None,
    labels: Sequence[str] | None,
    num_labels: int | None,
) -> _Composition:
    config: Config = resolve_object(architecture.spec.config).from_hub(values)
    task = _default_task(architecture) if task == DEFAULT_TASK else task
    if task is None:
        return _with_head(architecture, LayoutConfigs(architecture=config), None, None, head, labels, num_labels)
    chosen = choose_head(architecture, config.feature_specs(), registry().tasks.get(task), head)
    layout = writable_layout(architecture, chosen)
    if layout is None:
        configs, layout_head = LayoutConfigs(architecture=config), None
    else:
        read = resolve_object(layout.spec.read_config)
        configs, layout_head = read(ModelMetadata(format="safetensors", location="(config)", config=values)), chosen
    return _with_head(architecture, configs, layout_head, task, head, labels, num_labels)


def _with_head(
    architecture: Entry[ArchitectureSpec],
    configs: LayoutConfigs,
    layout_head: Entry[HeadSpec] | None,
    task: str | None,
    head: str | None,
    labels: Sequence[str] | None,
    num_labels: int | None,
) -> _Composition:
    """Choose the head. configs.head is the configuration of layout_head, which need not be the one that is wanted."""
    config = configs.architecture
    if task is None:
        for name, value in (("head", head), ("labels", labels), ("num_labels", num_labels)):
            if value is not None:
                raise InvalidInput(
                    f"{name}={value!r} was given together with task=None, which means the bare backbone."
                )
        return _Composition(architecture=architecture, config=config, task=None, head=None, head_config=None)
    task_entry = registry().tasks.get(task)
    if head is None and layout_head is not None and task_entry.goes_by(layout_head.spec.task):
        chosen = layout_head
    else:
        chosen = choose_head(architecture, config.feature_specs(), task_entry, head)
    if layout_head is chosen:
        head_config = configs.head
    else:
        head_config = _fresh_head_config(architecture, chosen, config)
    wanted = _label_names(labels, num_labels)
    if wanted is not None and wanted != getattr(head_config, "labels", None):
        if not hasattr(head_config, "labels"):
            raise InvalidInput(
                f"The head '{chosen.spec.name}' has no labels, so labels and num_labels have no meaning for it."
            )
        head_config = head_config.replace(labels=wanted)
    return _Composition(architecture=architecture, config=config, task=task_entry, head=chosen, head_config=head_config)


def _fresh_head_config(architecture: Entry[ArchitectureSpec], head: Entry[HeadSpec], config: Config) -> Any:
    """The configuration of a head that the checkpoint does not have: what the pair's layout makes of the
    backbone's, or the defaults.
    """
    layout = writable_layout(architecture, head)
    if layout is None:
        return resolve_object(head.spec.config)()
    metadata = ModelMetadata(format="safetensors", location="(config)", config=config.to_hub())
    configs: LayoutConfigs = resolve_object(layout.spec.read_config)(metadata)
    return configs.head


def _label_names(labels: Sequence[str] | None, num_labels: int | None) -> tuple[str, ...] | None:
    if num_labels is not None and (type(num_labels) is not int or not 0 < num_labels <= MAX_LABELS):
        raise InvalidInput(f"num_labels must be a whole number from 1 to {MAX_LABELS}, found {num_labels!r}.")
    if labels is not None:
        given: object = labels  # what a caller without a type checker may pass
        if (
            isinstance(given, str)
            or not isinstance(given, Sequence)
            or not all(isinstance(label, str) for label in given)
        ):
            raise InvalidInput(f"labels must be a list of texts, found {labels!r}.")
        if num_labels not in (None, len(labels)):
            raise InvalidInput(f"num_labels={num_labels}, but {len(labels)} labels were given.")
        if len(set(labels)) != len(labels):
            raise InvalidInput(f"labels: a label is named twice in {labels!r}.")
        return tuple(labels)
    if num_labels is None:
        return None
    return tuple(f"LABEL_{index}" for index in range(num_labels))


def _untrained(source: Source, composition: _Composition) -> UntrainedHead:
    assert composition.head is not None and composition.task is not None
    has = "no head"
    if source.layout.spec.head is not None:
        count = _label_count(source.configs.head)
        has = f"a trained '{_head_name(source)}' head{f' for {count} labels' if count else ''}"
    wanted = f" with {_label_count(composition.head_config)} labels" if _label_count(composition.head_config) else ""
    return UntrainedHead(
        f"{source.metadata.location}: there are no trained weights for the head "
        f"'{composition.head.spec.name}'{wanted}, "
        f"which the task '{composition.task.spec.name}' needs; the checkpoint has {has}.",
        hint="To train it, pass init_head=True (with num_labels=N or labels=[...] where it has labels). "
        "For the bare backbone, pass task=None.",
    )


def _has_trained_head(source: Source, composition: _Composition) -> bool:
    """Whether the checkpoint has this head, with as many labels."""
    if composition.head is None or _layout_head(source.layout) is not composition.head:
        return False
    return _label_count(composition.head_config) == _label_count(source.configs.head)


def _head_name(source: Source) -> str:
    """The bare name of the checkpoint's head, for messages."""
    return (source.layout.spec.head or "").rpartition(":")[2]


def _label_count(head_config: Any) -> int:
    return len(getattr(head_config, "labels", ()))


def _head_parameters(model: AnyModel) -> tuple[str, ...]:
    """The parameters of the head that are its own, and not the backbone's under another name."""
    return tuple(name for name, _ in model.named_parameters() if name.startswith("head."))


def _load_weights(
    model: AnyModel,
    source: Source,
    trained: bool,
    untrained: tuple[str, ...],
    dtype: str | torch.dtype,
    device: torch.device,
    generator: torch.Generator,
    progress: Callable[[int, int], None] | None,
) -> LoadReport:
    _refuse_unsupported(source)
    stored = with_aliases(source.checkpoint)
    chosen_dtype = choose_dtype(source.checkpoint.values(), dtype, declared_dtype(source.metadata.config))
    bare = not isinstance(model, ComposedTaskModel)
    prefix = "backbone." if bare else ""
    targets = {prefix + name: tensor for name, tensor in (*model.named_parameters(), *_persistent_buffers(model))}
    unused = {"head.": f"it belongs to the head '{_head_name(source)}', which was not asked for"} if not trained else {}
    assignment = plan_assignment(
        targets,
        stored,
        key_map_of(source.layout, source.configs),
        ties=model.ties if isinstance(model, ComposedTaskModel) else (),
        unused=unused,
        untrained=untrained,
        location=source.metadata.location,
    )
    assign_weights(model, assignment, stored, prefix=prefix, dtype=chosen_dtype, device=device, progress=progress)
    if isinstance(model, ComposedTaskModel):
        if untrained:
            _initialise_head(model, device, generator)
        model.bind()
    reset_derived(model, device)
    for name, reason in assignment.ignored.items():
        logger.debug("%s: ignored, since %s", name, reason)
    if untrained:
        logger.warning("untrained, initialised from seed %d: %s", generator.initial_seed(), ", ".join(untrained))
    return LoadReport(
        ignored=assignment.ignored,
        duplicates=tuple(assignment.duplicates),
        decoded=decoded_encodings(assignment, stored),
        untrained=untrained,
    )


def _initialise(model: AnyModel, generator: torch.Generator) -> None:
    """Random weights, drawn on the CPU and in float32, so that they are the same wherever they go."""
    model.to_empty(device="cpu")
    if isinstance(model, ComposedTaskModel):
        model.bind()
        model.backbone.init_weights(generator)
        model.head.init_weights(generator)
    else:
        model.init_weights(generator)


def _initialise_head(model: ComposedTaskModel, device: torch.device, generator: torch.Generator) -> None:
    dtype = next(model.backbone.parameters()).dtype
    model.head.to_empty(device="cpu")
    model.head.init_weights(generator)
    model.head.to(device=device, dtype=dtype)


def _persistent_buffers(model: nn.Module) -> list[tuple[str, torch.Tensor]]:
    stored = model.state_dict(keep_vars=True).keys()
    return [(name, buffer) for name, buffer in model.named_buffers() if name in stored]


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
) -> tuple[Mapping[str, Any], Entry[ArchitectureSpec]]:
    """The contents of config.json that are meant, and the architecture that they are of."""
    if isinstance(config, (str, os.PathLike)):
        return _hub_config_by_name(config)
    if isinstance(config, Mapping):
        name = config.get("model_type")
        if not isinstance(name, str):
            raise ConfigError(f"field 'model_type': expected the name of an architecture, found {name!r}.")
        entry = registry().architecture_for_model_type(name)
        return config, entry if entry is not None else registry().architectures.get(name)
    path = f"{type(config).__module__}:{type(config).__qualname__}"
    for entry in registry().architectures.entries():
        if entry.spec.config == path:
            return config.to_hub(), entry
    raise NameNotFound(f"No registered architecture has configurations of the type {path}.")


def _hub_config_by_name(reference: str | os.PathLike[str]) -> tuple[Mapping[str, Any], Entry[ArchitectureSpec]]:
    if isinstance(reference, str) and not is_reference(reference):
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
