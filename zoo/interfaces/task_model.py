"""A backbone, an optional neck and a head, bound into one model for a task."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from zoo.errors import CompositionError, InvalidInput
from zoo.interfaces.config import Config
from zoo.interfaces.feature_spec import FeatureSpec
from zoo.interfaces.features import Features
from zoo.interfaces.head import Head
from zoo.interfaces.model import Model
from zoo.interfaces.neck import Neck
from zoo.interfaces.origin import Origin

__all__ = ["ComposedTaskModel", "TaskModel"]


@runtime_checkable
class TaskModel(Protocol):
    """What tasks, pipelines and the trainer need of a model."""

    @property
    def config(self) -> Config:
        """The configuration of the backbone."""
        ...

    @property
    def ties(self) -> tuple[tuple[str, ...], ...]:
        """Groups of parameter names that are one tensor; the first of each is the one that is stored."""
        ...

    def forward(
        self, inputs: Mapping[str, Any], target: Any = None, denominators: Mapping[str, Tensor] | None = None
    ) -> Any:
        """The task's output; with a target, also its total loss and the named terms of it."""
        ...


class ComposedTaskModel(nn.Module):
    """The default TaskModel: backbone -> neck -> head, with the head's shared parameters bound to the backbone's.

    The loss is computed inside forward, so that sharded training and fused losses see one module.
    """

    origin: Origin | None = None
    """Set by `zoo.load` and `zoo.create`."""

    def __init__(self, backbone: Model, head: Head, neck: Neck | None = None) -> None:
        super().__init__()
        self.backbone = backbone
        self.neck = neck
        self.head = head
        given = backbone.config.feature_specs()
        self._taps = _taps(given, head.features if neck is None else neck.features)
        self._neck_taps = None if neck is None else _taps(neck.config.feature_specs(neck.features), head.features)
        self.bind()

    @property
    def config(self) -> Config:
        """The configuration of the backbone."""
        return self.backbone.config

    @property
    def architecture(self) -> str | None:
        """The full name of the backbone's architecture; None for a model that was put together by hand."""
        return self.origin.architecture if self.origin is not None else None

    @property
    def task(self) -> str | None:
        """The canonical id of the task."""
        return self.origin.task if self.origin is not None else None

    @property
    def generation_config(self) -> Mapping[str, Any]:
        """The contents of generation_config.json; empty when there was none."""
        return self.origin.generation_config if self.origin is not None else {}

    @property
    def ties(self) -> tuple[tuple[str, ...], ...]:
        """Groups of parameter names that are one tensor; the backbone's comes first and is the one that is stored."""
        return tuple((f"backbone.{theirs}", f"head.{ours}") for ours, theirs in self._shared().items())

    def bind(self) -> None:
        """Make the head's shared parameters the backbone's. To be called again after parameters were replaced."""
        for ours, theirs in self._shared().items():
            owner, _, name = ours.rpartition(".")
            setattr(self.head.get_submodule(owner), name, self.backbone.get_parameter(theirs))

    def count(self, target: Any) -> dict[str, Tensor]:
        """The denominators of the loss for a batch's target. Over several batches, those of one name are added up and
        given to each call as `denominators`, so that the accumulated gradient is that of one large batch.
        """
        return self.head.count(target)

    def _checked(self, denominators: object, target: Any) -> Mapping[str, Tensor]:
        names = self.count(target).keys() if target is not None else ()
        if not isinstance(denominators, Mapping) or set(denominators) != set(names):
            found = f"{sorted(denominators)}" if isinstance(denominators, Mapping) else type(denominators).__name__
            raise InvalidInput(
                f"denominators: numbers called {', '.join(names) or 'nothing, without a target,'} were expected, as "
                f"`model.count(target)` gives; found {found}."
            )
        return {name: torch.as_tensor(value) for name, value in denominators.items()}

    def features(self, inputs: Mapping[str, Any]) -> Features:
        """What the backbone makes of the inputs; a task's own model extends this by what its heads need to know."""
        features: Features = self.backbone(**inputs)
        return features

    def forward(
        self,
        inputs: Mapping[str, Any],
        target: Any = None,
        denominators: Mapping[str, Tensor] | None = None,
        **head_options: Any,
    ) -> Any:
        """inputs: the backbone's keyword arguments, as the preprocessor's `collate` makes them.

        Returns the head's output. Given a target, its `loss` and `losses` are set; denominators are those of the whole
        accumulated batch.
        """
        if not isinstance(inputs, Mapping):
            raise InvalidInput(
                "inputs: a dictionary of the backbone's arguments was expected, as `preprocessor.collate(items)` makes "
                f"it, e.g. {{'pixel_values': x}}; found a value of type {type(inputs).__name__}."
            )
        if denominators is not None:
            denominators = self._checked(denominators, target)
        features = _tapped(self.features(inputs), self._taps)
        if self.neck is not None:
            features = _tapped(self.neck(features), self._neck_taps)
        output = self.head(features, **head_options)
        if target is not None:
            output.loss, output.losses = self.head.loss(output, target, denominators)
        return output

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> ComposedTaskModel:
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self.bind()  # a move to another kind of device makes new parameters, and of tied ones two
        return self

    def _shared(self) -> dict[str, str]:
        roles = self.backbone.shared_parameters
        shared = {}
        for ours, role in self.head.shared().items():
            if role not in roles:
                raise CompositionError(
                    f"The head {type(self.head).__name__} wants to share the backbone's '{role}', "
                    f"but {type(self.backbone).__name__} offers {', '.join(roles) or 'nothing'}."
                )
            shared[ours] = roles[role]
        return shared


def _taps(given: tuple[FeatureSpec, ...], taken: tuple[FeatureSpec, ...]) -> tuple[int, ...] | None:
    """The numbers of the maps that are taken, among those that are given; None for all, and where none is."""
    maps = [feature for feature in given if feature.kind == "map"]
    taps = tuple(number for number, feature in enumerate(maps) if feature in taken)
    return taps if 0 < len(taps) < len(maps) else None


def _tapped(features: Features, taps: tuple[int, ...] | None) -> Features:
    """The features with only the maps that are taken."""
    return features if taps is None else replace(features, maps=tuple(features.maps[number] for number in taps))
