"""Saving: a model as a directory in the Hub's layout, which transformers and others read."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zoo.checkpoint import DirectoryTransaction, ShardPlan, TensorPlan, parse_size, plan_shards
from zoo.checkpoint.describe import listed
from zoo.composed_layout import composed_config, composed_layout
from zoo.errors import InvalidInput, SaveError
from zoo.hub import local_path
from zoo.interfaces.layout import LayoutConfigs
from zoo.interfaces.model import Model
from zoo.interfaces.origin import Origin
from zoo.interfaces.preprocessor import Preprocessor
from zoo.interfaces.task_model import ComposedTaskModel
from zoo.layouts import key_map_of, writable_layout
from zoo.preprocess.image_settings import IMAGE_FILE
from zoo.preprocess.tokenizer_files import tokenizer_file_names
from zoo.registry import Entry, registry, resolve_object
from zoo.spec import LayoutSpec
from zoo.weights.key_map import Match
from zoo.weights.mapped import DTYPES
from zoo.weights.memory import memory_of
from zoo.weights.meta import without_memory

__all__ = ["save"]

_STALE_WITH_MODEL = ("generation_config.json",)
"""What an earlier save may have left and would be read together with the new files."""


def save(
    model: Model | ComposedTaskModel,
    directory: str | os.PathLike[str],
    *,
    preprocessor: Preprocessor | None = None,
    max_shard_size: int | str = "10GB",
    sync: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write a model that `zoo.load` or `zoo.create` made, as a directory that zoo and transformers load.

    preprocessor: written beside it (tokenizer.json, ...). max_shard_size: bytes of tensors per file, or "10GB",
    "500MB". sync: flush to disk.
    progress: called with the bytes done and the bytes in all.

    directory: ~ is the home directory. An earlier model there is replaced; where a preprocessor is given, so is an
    earlier tokenizer or preprocessor_config.json, with all its files. On Windows, files that a model is mapped from
    can't be replaced while it lives: save it elsewhere.

    All or nothing: until the new files are complete, what was in the directory stays. Tensors that are tied are stored
    once; the bytes depend on the contents alone. Returns the directory. Raises SaveError when the model has no layout
    to be written in, or writing fails.
    """
    _refuse_other_types(model, directory)
    target = local_path(directory)
    shard_size = parse_size(max_shard_size)
    origin = model.origin
    if origin is None:
        raise SaveError(
            "This model was not made by `zoo.load` or `zoo.create`, so its architecture has no name to be saved under.",
            hint="Set `model.origin = zoo.interfaces.origin.Origin(architecture=..., head=..., task=...)`.",
        )
    _refuse_replaced(model, origin)
    _refuse_unsavable(model)
    layout = _layout(origin)
    configs = _configs(model)
    tensors = _tensors(model)
    stored = _stored(layout, configs, tensors)
    plan = plan_shards([stored_plan for stored_plan, _ in stored.values()], shard_size)
    config = _hub_config(layout, configs, tensors)
    with DirectoryTransaction(target, sync=sync) as output:
        output.write_tensors(plan, _source(stored, tensors), progress=_counted(plan, progress))
        output.write_file("config.json", _json(config))
        files = preprocessor.files() if preprocessor is not None else {}
        if origin.generation_config:
            files["generation_config.json"] = _json(origin.generation_config)
        for name, content in files.items():
            output.write_file(name, content)
        stale = {*_STALE_WITH_MODEL}
        if preprocessor is not None:
            stale |= {*tokenizer_file_names(target), IMAGE_FILE}
        for name in sorted(stale - files.keys()):
            output.remove_file(name)
    return target


def _refuse_other_types(model: object, directory: object) -> None:
    """What a caller without a type checker may pass."""
    if not isinstance(model, (Model, ComposedTaskModel)):
        raise InvalidInput(
            f"model: what `zoo.load` or `zoo.create` returned was expected; found {type(model).__name__} {model!r}."
        )
    if not isinstance(directory, (str, os.PathLike)) or not os.fspath(directory):
        raise InvalidInput(f"directory: a text or path was expected; found {type(directory).__name__} {directory!r}.")


def _refuse_replaced(model: Model | ComposedTaskModel, origin: Origin) -> None:
    """Refuse a model of which a part is no longer what its origin names: it would be loaded as what it was."""
    composed = isinstance(model, ComposedTaskModel)
    architecture = registry().architectures.get(origin.architecture)
    neck = registry().necks.get(origin.neck) if origin.neck is not None else None
    head = registry().heads.get(origin.head) if origin.head is not None else None
    for part, module, name, reference in (
        ("architecture", model.backbone if composed else model, origin.architecture, architecture.spec.model),
        ("neck", model.neck if composed else None, origin.neck, neck and neck.spec.neck),
        ("head", model.head if composed else None, origin.head, head and head.spec.head),
    ):
        made = type(None) if reference is None else resolve_object(reference)
        if isinstance(made, type) and not isinstance(module, made):
            raise SaveError(
                f"The model's {part} is {_called(module)}, but by `model.origin` it is {name or 'none'}; what is saved "
                "would not load as it is.",
                hint=f"Say what it is: model.origin = dataclasses.replace(model.origin, {part}=...).",
            )


def _called(module: object) -> str:
    return "none" if module is None else f"a {type(module).__name__}"


def _refuse_unsavable(model: Model | ComposedTaskModel) -> None:
    """Refuse what could be written but not be loaded again as it is."""
    with without_memory():
        fresh = _rebuilt(model)
    expected = dict(fresh.named_parameters(remove_duplicate=False))
    actual = dict(model.named_parameters(remove_duplicate=False))
    absent = [name for name in expected if name not in actual]
    if absent:
        raise SaveError(
            f"The model lacks {listed(map(repr, absent))}, which by its configuration it has; what is saved would not "
            "load.",
            hint="Make a model of a changed configuration instead (model.config.replace(...), zoo.create).",
        )
    for name, parameter in actual.items():
        if parameter.is_meta:
            raise SaveError(f"Parameter '{name}' is on the meta device: there are no values to save.")
        if name in expected and parameter.shape != expected[name].shape:
            raise SaveError(
                f"Parameter '{name}' has the shape {list(parameter.shape)}, but by the model's configuration it is "
                f"{list(expected[name].shape)}; what is saved would not load.",
                hint="Make a model of a changed configuration instead (model.config.replace(...), zoo.create).",
            )
    if isinstance(model, ComposedTaskModel):
        for kept, *others in model.ties:
            for other in others:
                ours, theirs = model.get_parameter(other), model.get_parameter(kept)
                if ours is not theirs and not torch.equal(ours, theirs):
                    raise SaveError(
                        f"'{other}' differs from '{kept}', which it is tied to by the configuration and which alone "
                        "would be saved.",
                        hint="Call `model.bind()` to tie them again, or untie them in the configuration.",
                    )


def _rebuilt(model: Model | ComposedTaskModel) -> Model | ComposedTaskModel:
    if not isinstance(model, ComposedTaskModel):
        return type(model)(model.config)
    head = type(model.head)(model.head.features, model.head.config)
    neck = None if model.neck is None else type(model.neck)(model.neck.features, model.neck.config)
    return type(model)(type(model.backbone)(model.config), head, neck)


def _layout(origin: Origin) -> Entry[LayoutSpec]:
    architecture = registry().architectures.get(origin.architecture)
    head = registry().heads.get(origin.head) if origin.head is not None else None
    neck = registry().necks.get(origin.neck) if origin.neck is not None else None
    layout = writable_layout(architecture, head, neck)
    if layout is not None:
        return layout
    if head is None:
        raise SaveError(f"No installed plugin says how '{architecture.spec.name}' is written.")
    return composed_layout(architecture.full_name, neck.full_name if neck is not None else None, head.full_name)


def _configs(model: Model | ComposedTaskModel) -> LayoutConfigs:
    if isinstance(model, ComposedTaskModel):
        neck = model.neck.config if model.neck is not None else None
        return LayoutConfigs(architecture=model.config, neck=neck, head=model.head.config)
    return LayoutConfigs(architecture=model.config)


def _tensors(model: Model | ComposedTaskModel) -> dict[str, Tensor]:
    """Canonical name -> tensor, of what is stored: not the other names of tied tensors, nor what is derived."""
    prefix = "" if isinstance(model, ComposedTaskModel) else "backbone."
    ties = model.ties if isinstance(model, ComposedTaskModel) else ()
    dropped = {name for group in ties for name in group[1:]}
    return {prefix + name: tensor for name, tensor in model.state_dict(keep_vars=True).items() if name not in dropped}


def _stored(
    layout: Entry[LayoutSpec], configs: LayoutConfigs, tensors: Mapping[str, Tensor]
) -> dict[str, tuple[TensorPlan, Match]]:
    """Stored name -> what is written under it, and the rule that makes it."""
    matches, unclaimed = key_map_of(layout, configs).match_model(tensors)
    if unclaimed:
        raise SaveError(f"The layout '{layout.full_name}' has no place for {', '.join(unclaimed)}.")
    stored = {}
    for match in matches:
        absent = [name for name in match.model if name not in tensors]
        if absent:
            raise SaveError(
                f"The layout '{layout.full_name}' makes {', '.join(match.stored)} out of {', '.join(absent)}, too, "
                "which the model lacks."
            )
        shapes = [torch.empty_like(tensors[name], device="meta") for name in match.model]
        for name, tensor in zip(match.stored, match.operation.save(shapes), strict=True):
            if tensor.dtype not in DTYPES:
                raise SaveError(f"Tensor '{name}' is of {tensor.dtype}, which safetensors can't hold.")
            stored[name] = (TensorPlan(name, DTYPES[tensor.dtype], tuple(tensor.shape)), match)
    return stored


def _source(
    stored: Mapping[str, tuple[TensorPlan, Match]], tensors: Mapping[str, Tensor]
) -> Callable[[str], Iterator[memoryview]]:
    def source(name: str) -> Iterator[memoryview]:
        match = stored[name][1]
        made = match.operation.save([tensors[key].detach() for key in match.model])[match.stored.index(name)]
        contents = made.cpu().contiguous()  # lives until the generator ends
        yield memory_of(contents)

    return source


def _hub_config(layout: Entry[LayoutSpec], configs: LayoutConfigs, tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    if layout.spec.write_config is None:
        config = composed_config(layout, configs)
    else:
        config = dict(resolve_object(layout.spec.write_config)(configs))
    floating = [tensor.dtype for tensor in tensors.values() if tensor.is_floating_point()]
    if floating:
        name = str(max(set(floating), key=floating.count)).removeprefix("torch.")
        key = "torch_dtype" if "torch_dtype" in config and "dtype" not in config else "dtype"
        config[key] = name
    return config


def _json(values: Mapping[str, Any]) -> bytes:
    return (json.dumps(dict(values), indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()


def _counted(plan: ShardPlan, progress: Callable[[int, int], None] | None) -> Callable[[int], None] | None:
    if progress is None:
        return None
    done = 0

    def report(count: int) -> None:
        nonlocal done
        done += count
        progress(done, plan.total_size)

    return report
