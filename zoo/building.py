"""From a composition to modules: without memory for loading, and with random weights."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager

import torch

from zoo.composing import Composition
from zoo.composition import features_for, require_fit, serving
from zoo.errors import ConfigError
from zoo.interfaces.head import Head
from zoo.interfaces.model import Model
from zoo.interfaces.neck import Neck
from zoo.interfaces.task_model import ComposedTaskModel
from zoo.registry import resolve_object
from zoo.weights.assign import set_tensor
from zoo.weights.meta import without_initialisation, without_memory

__all__ = ["AnyModel", "build", "initialise", "initialise_parts"]

AnyModel = Model | ComposedTaskModel


def build(composition: Composition, manner: Callable[[], AbstractContextManager[None]] = without_memory) -> AnyModel:
    """The modules. manner: how they get their memory, of `zoo.weights.meta`.

    Raises ConfigError for a configuration that no tensors can be made of.
    """
    try:
        with manner():
            backbone: Model = resolve_object(composition.architecture.spec.model)(composition.config)
            if composition.head is None or composition.task is None:
                return backbone
            neck, head = _neck(composition), _head(composition)
            model: ComposedTaskModel = resolve_object(composition.task.spec.model)(backbone, head, neck)
            return model
    except (RuntimeError, TypeError, OverflowError) as error:  # what torch raises for sizes past its own
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ConfigError(
            f"{composition.architecture.full_name}: no model can be built of this configuration: {reason}"
        ) from error


def initialise(model: AnyModel, generator: torch.Generator) -> None:
    """Random weights for a model that was built `without_initialisation`: on the CPU and in float32, so that they are
    the same wherever they go.
    """
    if not isinstance(model, ComposedTaskModel):
        model.init_weights(generator)
        return
    model.backbone.init_weights(generator)
    if model.neck is not None:
        model.neck.init_weights(generator)
    model.head.init_weights(generator)


def initialise_parts(
    model: ComposedTaskModel,
    composition: Composition,
    untrained: tuple[str, ...],
    device: torch.device,
    generator: torch.Generator,
) -> None:
    """Give the named tensors of the neck and the head the values that they begin training with."""
    dtypes = Counter(parameter.dtype for parameter in model.backbone.parameters() if parameter.is_floating_point())
    dtype = dtypes.most_common(1)[0][0] if dtypes else torch.get_default_dtype()
    for part, make in (("neck", _neck), ("head", _head)):
        names = [name for name in untrained if name.startswith(f"{part}.")]
        if not names:
            continue
        with without_initialisation():
            fresh = make(composition)
        assert fresh is not None
        fresh.init_weights(generator)
        made = {f"{part}.{name}": tensor for name, tensor in fresh.state_dict().items()}
        for name in names:
            wanted = dtype if made[name].is_floating_point() else made[name].dtype
            set_tensor(model, name, made[name].to(device=device, dtype=wanted))


def _neck(composition: Composition) -> Neck | None:
    if composition.neck is None:
        return None
    features = serving(composition.neck.spec.requires, composition.config.feature_specs())
    neck: Neck = resolve_object(composition.neck.spec.neck)(features, composition.neck_config)
    return neck


def _head(composition: Composition) -> Head:
    assert composition.head is not None and composition.task is not None
    given = require_fit(
        composition.architecture,
        composition.config.feature_specs(),
        composition.task,
        composition.head,
        composition.neck,
        composition.neck_config,
    )
    head: Head = resolve_object(composition.head.spec.head)(
        features_for(composition.head.spec, given), composition.head_config
    )
    return head
