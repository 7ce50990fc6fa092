"""What an architecture gives, which tasks it can do and why not the others, and what its configuration holds."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from zoo.composing import Composition, Request, compose
from zoo.describe.entries import describe_entry
from zoo.describe.json_types import Description, Json
from zoo.errors import ZooError
from zoo.interfaces.config import Config
from zoo.interfaces.feature_spec import FeatureSpec
from zoo.registry import Entry, registry, resolve_object
from zoo.spec import ArchitectureSpec, HeadSpec, PresetSpec, TaskSpec

__all__ = ["architecture_details", "describe_features"]


def architecture_details(entry: Entry[ArchitectureSpec]) -> Description:
    """What is to be told of an architecture beyond its spec.

    The features are those of the default preset's configuration, else of the default values: "features_of" says which.
    When the configuration can't be had (a dependency is missing, say), "config_error" tells why; tasks are left out.
    """
    presets = [preset for preset in registry().presets if entry.goes_by(preset.spec.architecture)]
    layouts = [layout for layout in registry().layouts if entry.goes_by(layout.spec.architecture)]
    details: Description = {
        "features_of": None,
        "features": [],
        "tasks": [],
        "presets": [describe_entry(registry().presets, preset) for preset in presets],
        "layouts": [describe_entry(registry().layouts, layout) for layout in layouts],
        "config": [],
        "config_error": None,
    }
    with_config = [preset for preset in presets if preset.spec.config]
    default = next((preset for preset in with_config if preset.spec.name == entry.spec.default_preset), None)
    try:
        config_class = resolve_object(entry.spec.config)
        config = config_class.from_hub(default.spec.config if default is not None else {})
        features: Sequence[FeatureSpec] = config.feature_specs()
    except ZooError as error:
        return details | {"config_error": str(error)}
    return details | {
        "features_of": f"the preset {default.spec.name}" if default is not None else "the default configuration",
        "features": [describe_features(feature) for feature in features],
        "tasks": [_composition(entry, config, task, presets) for task in registry().tasks],
        "config": _config_fields(config_class),
    }


def describe_features(feature: FeatureSpec) -> Description:
    """One output of a backbone."""
    return dataclasses.asdict(feature)


def _composition(
    architecture: Entry[ArchitectureSpec], config: Config, task: Entry[TaskSpec], presets: Sequence[Entry[PresetSpec]]
) -> Description:
    """Whether the architecture can do the task, with which heads, the default one first, and which presets were trained
    for it; else the reason.
    """
    name = task.spec.name
    trained = [preset.spec.name for preset in presets if preset.spec.task and task.goes_by(preset.spec.task)]
    stored = Composition(architecture=architecture, config=config)
    try:
        default = compose(stored, Request(task=task.full_name)).head
    except ZooError as error:
        return {"name": name, "composes": False, "heads": [], "trained": list(trained), "reason": error.message}
    heads = [] if default is None else [default.spec.name]
    for head in registry().heads:
        if task.goes_by(head.spec.task) and head is not default and _fits(stored, task, head):
            heads.append(head.spec.name)
    return {"name": name, "composes": True, "heads": list(heads), "trained": list(trained), "reason": None}


def _fits(stored: Composition, task: Entry[TaskSpec], head: Entry[HeadSpec]) -> bool:
    try:
        compose(stored, Request(task=task.full_name, head=head.full_name))
    except ZooError:
        return False
    return True


def _config_fields(config_class: Any) -> Json:
    """The fields of a configuration that is a dataclass, as TypedConfigs are; a plugin's own kind may be anything."""
    if not dataclasses.is_dataclass(config_class):
        return []
    return [
        {"name": field.name, "type": str(field.type), "default": _default(field)}
        for field in dataclasses.fields(config_class)
        if field.name != "hub"
    ]


def _default(field: dataclasses.Field[Any]) -> str | None:
    """The default as Python writes it; None where the field has to be given."""
    if field.default is not dataclasses.MISSING:
        return repr(field.default)
    return None if field.default_factory is dataclasses.MISSING else repr(field.default_factory())
