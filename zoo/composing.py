"""From what a checkpoint or configuration has and what the user asked for to what is to be built: names and
configurations, nothing allocated. Torch-free.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from zoo.composition import choose_head, features_after, require_fit, require_modality, require_neck, served
from zoo.errors import InvalidInput
from zoo.interfaces.config import Config
from zoo.interfaces.labels import label_names
from zoo.interfaces.layout import LayoutConfigs, ModelMetadata
from zoo.interfaces.origin import Origin
from zoo.layouts import layout_of_pair
from zoo.registry import Entry, registry, resolve_object
from zoo.spec import ArchitectureSpec, HeadSpec, LayoutSpec, NeckSpec, TaskSpec

__all__ = ["DEFAULT_TASK", "Composition", "Request", "compose", "composition_in"]

DEFAULT_TASK = "default"
"""As a task: what the checkpoint's head is for or, where it has no head, the architecture's own default."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What the user asked for; see `zoo.load`."""

    task: str | None = DEFAULT_TASK
    head: str | None = None
    neck: str | None = None
    labels: Sequence[str] | None = None
    num_labels: int | None = None

    def refuse_for(self, what: str) -> None:
        """Raise InvalidInput for anything that only a model with a head has a use for."""
        for name in ("head", "neck", "labels", "num_labels"):
            value = getattr(self, name)
            if value is not None:
                raise InvalidInput(f"{name}={value!r} was given together with {what}, which means the bare backbone.")


@dataclass(frozen=True, kw_only=True)
class Composition:
    """What is to be built, or what a checkpoint has. Without a head it is the bare backbone."""

    architecture: Entry[ArchitectureSpec]
    config: Config
    task: Entry[TaskSpec] | None = None
    neck: Entry[NeckSpec] | None = None
    neck_config: Any = None
    head: Entry[HeadSpec] | None = None
    head_config: Any = None

    def origin(self, **facts: Any) -> Origin:
        """The names, for the model to remember."""
        return Origin(
            architecture=self.architecture.full_name,
            neck=self.neck.full_name if self.neck is not None else None,
            head=self.head.full_name if self.head is not None else None,
            task=self.task.spec.name if self.task is not None else None,
            **facts,
        )


def composition_in(
    architecture: Entry[ArchitectureSpec], layout: Entry[LayoutSpec] | None, configs: LayoutConfigs
) -> Composition:
    """What a checkpoint, or a config.json, of a layout has. layout: None for one that says nothing but the backbone."""
    if layout is None or layout.spec.head is None:
        return Composition(architecture=architecture, config=configs.architecture)
    head = registry().heads.meant_by(layout.distribution, layout.spec.head)
    neck = None if layout.spec.neck is None else registry().necks.meant_by(layout.distribution, layout.spec.neck)
    return Composition(
        architecture=architecture,
        config=configs.architecture,
        task=registry().tasks.meant_by(head.distribution, head.spec.task),
        neck=neck,
        neck_config=configs.neck,
        head=head,
        head_config=configs.head,
    )


def compose(stored: Composition, request: Request) -> Composition:
    """What is to be built of a checkpoint, or of a configuration, that has `stored`.

    Raises CompositionError, in one sentence, for what does not fit, and InvalidInput for what has no meaning.
    """
    head = None if request.head is None else registry().heads.get(request.head)
    task = _task(stored, request.task, head)
    if task is not None and task.spec.headless:
        require_modality(stored.architecture, task)
    if task is None or task.spec.headless:
        request.refuse_for("task=None" if task is None else f"the task '{task.spec.name}'")
        return Composition(architecture=stored.architecture, config=stored.config, task=task)
    neck = None if request.neck is None else registry().necks.get(request.neck)
    labels = label_names(request.labels, request.num_labels)
    if stored.task is not task:
        return _labelled(_fresh(stored, task, neck, head), labels)
    chosen = _of_the_same_task(stored, task, neck, head)
    if hasattr(chosen.head_config, "labels"):
        trained = getattr(stored.head_config, "labels", None)
        counted = request.labels is None and trained is not None and request.num_labels == len(trained)
        if labels is None or counted:  # so many it has
            labels = trained
    return _labelled(chosen, labels)


def _task(stored: Composition, name: str | None, head: Entry[HeadSpec] | None) -> Entry[TaskSpec] | None:
    if name is None:
        return None
    if name != DEFAULT_TASK:
        return registry().tasks.get(name)
    if head is not None:
        return registry().tasks.meant_by(head.distribution, head.spec.task)
    if stored.task is not None:
        return stored.task
    return registry().tasks.meant_by(stored.architecture.distribution, stored.architecture.spec.default_task)


def _labelled(chosen: Composition, labels: tuple[str, ...] | None) -> Composition:
    """The composition whose head tells these labels apart; None leaves those that it has."""
    if labels is None or labels == getattr(chosen.head_config, "labels", None):
        return chosen
    assert chosen.head is not None
    if not hasattr(chosen.head_config, "labels"):
        raise InvalidInput(
            f"The head '{chosen.head.spec.name}' has no labels, so labels and num_labels have no meaning for it."
        )
    return replace(chosen, head_config=chosen.head_config.replace(labels=labels))


def _of_the_same_task(
    stored: Composition, task: Entry[TaskSpec], neck: Entry[NeckSpec] | None, head: Entry[HeadSpec] | None
) -> Composition:
    """The head and the neck that are there, unless others were named; the neck stays for another head that it fits."""
    assert stored.head is not None
    head = head or stored.head
    if neck is None and (head is stored.head or _through_stored_neck(stored, head)):
        neck = stored.neck
    if head is stored.head and neck is stored.neck:
        return stored
    chosen = _fresh(stored, task, neck, head, stored.neck_config if neck is stored.neck else None)
    return chosen if head is not stored.head else replace(chosen, head_config=stored.head_config)


def _through_stored_neck(stored: Composition, head: Entry[HeadSpec]) -> bool:
    """Whether what the checkpoint's neck gives serves a head."""
    if stored.neck is None:
        return False
    given = features_after(stored.neck.spec, stored.neck_config, stored.config.feature_specs())
    return served(head.spec.requirements, given) is not None


def _fresh(
    stored: Composition,
    task: Entry[TaskSpec],
    neck: Entry[NeckSpec] | None,
    head: Entry[HeadSpec] | None,
    neck_config: Any = None,
) -> Composition:
    """A head that the checkpoint does not have, with the neck that was named or else that of the pair's layout.

    neck_config: of the neck that was named; None for its defaults, or what the pair's layout says.
    """
    architecture, config = stored.architecture, stored.config
    features = config.feature_specs()
    if neck is not None:
        features = require_neck(architecture, features, neck, neck_config or resolve_object(neck.spec.config)())
    chosen = choose_head(architecture, features, task, head)
    layout = layout_of_pair(architecture, chosen, neck)
    made = LayoutConfigs(architecture=config) if layout is None else _fresh_configs(layout, config)
    if neck is None and layout is not None and layout.spec.neck is not None:
        neck = registry().necks.meant_by(layout.distribution, layout.spec.neck)
    if neck is not None and neck_config is None:
        neck_config = made.neck if made.neck is not None else resolve_object(neck.spec.config)()
    require_fit(architecture, config.feature_specs(), task, chosen, neck, neck_config)
    first = served(chosen.spec.requirements if neck is None else (neck.spec.requires,), config.feature_specs())
    if first is not None and first.kind == "map":
        config = config.maps_only()
    head_config = made.head if made.head is not None else resolve_object(chosen.spec.config).from_hub({})
    return Composition(
        architecture=architecture,
        config=config,
        task=task,
        neck=neck,
        neck_config=neck_config,
        head=chosen,
        head_config=head_config,
    )


def _fresh_configs(layout: Entry[LayoutSpec], config: Config) -> LayoutConfigs:
    """What the pair's layout makes of the backbone's own config.json, for a head that has yet to be trained."""
    metadata = ModelMetadata(format="safetensors", location="(config)", config=config.to_hub())
    configs: LayoutConfigs = resolve_object(layout.spec.read_config)(metadata)
    return configs
