"""How a backbone with a neck and a head lies on disk that no plugin brings a layout for: the tensors under `backbone.`,
`neck.` and `head.`, and the names and configurations of the parts in the section `zoo` of config.json. Torch-free.

    {"model_type": "vit", ..., "zoo": {"version": 1, "architecture": "zoo-vit:vit", "task": "image-segmentation",
     "neck": {"name": "zoo-vit:simple_fpn", "config": {...}}, "head": {"name": "zoo-segmentation:upernet", ...}}}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zoo.composition import require_fit
from zoo.errors import AmbiguousName, CompositionError, ConfigError, NameNotFound
from zoo.interfaces.layout import LayoutConfigs, ModelMetadata
from zoo.interfaces.shown import shown
from zoo.plugins.records import S
from zoo.registry import Catalog, Entry, registry, resolve_object
from zoo.registry.names import THIS_PROCESS
from zoo.spec import ArchitectureSpec, HeadSpec, LayoutSpec, NeckSpec

__all__ = ["SECTION", "composed_config", "composed_layout", "composed_layout_in", "read_config"]

SECTION = "zoo"
VERSION = 1
_OF_A_HEAD = ("architectures", "id2label", "label2id", "num_labels")
"""What a config.json says of the head that the backbone was read with."""

_LONGEST_NAME = 200
"""Of a part; a name of more characters is none."""


def composed_layout(architecture: str, neck: str | None, head: str) -> Entry[LayoutSpec]:
    """The layout of a pair that has none of its own. The names are full ones."""
    spec = LayoutSpec(
        name="composed",
        architecture=architecture,
        neck=neck,
        head=head,
        matches="zoo.composed_layout:matches",
        read_config="zoo.composed_layout:read_config",
        key_map="zoo.weights.key_map:AS_IT_IS",
        summary="Any pair, with the section 'zoo' in config.json",
    )
    return Entry(spec, "zoo-sdk", "", "zoo-sdk:core")


def matches(metadata: ModelMetadata) -> bool:
    """Whether config.json has the section."""
    return SECTION in metadata.config


def composed_layout_in(metadata: ModelMetadata) -> Entry[LayoutSpec] | None:
    """The layout of a checkpoint whose config.json has the section; None where it has none. Raises ConfigError."""
    if not matches(metadata):
        return None
    architecture, neck, head = _parts(metadata.config)
    return composed_layout(architecture.full_name, neck.full_name if neck is not None else None, head.full_name)


def read_config(metadata: ModelMetadata) -> LayoutConfigs:
    """The configurations of the parts. Raises ConfigError naming the field."""
    values = {key: value for key, value in metadata.config.items() if key not in (SECTION, *_OF_A_HEAD)}
    architecture, neck, head = _parts(metadata.config)
    section = metadata.config[SECTION]
    configs = LayoutConfigs(
        architecture=resolve_object(architecture.spec.config).from_hub(values),
        neck=None if neck is None else _config(neck, section, "neck"),
        head=_config(head, section, "head"),
    )
    task = registry().tasks.meant_by(head.distribution, head.spec.task)
    try:
        require_fit(architecture, configs.architecture.feature_specs(), task, head, neck, configs.neck)
    except CompositionError as error:
        raise ConfigError(f"field '{SECTION}': {error.message}") from error
    return configs


def composed_config(layout: Entry[LayoutSpec], configs: LayoutConfigs) -> dict[str, Any]:
    """The contents of config.json: the backbone's own, and the section. Labels stand where all tools look for them,
    too.
    """
    architecture = registry().architectures.get(layout.spec.architecture)
    head = registry().heads.get(layout.spec.head or "")
    values = {key: value for key, value in configs.architecture.to_hub().items() if key not in _OF_A_HEAD}
    values.setdefault("model_type", (*architecture.spec.model_types, architecture.spec.name)[0])
    labels = getattr(configs.head, "labels", None)
    if labels is not None:
        values["id2label"] = {str(index): label for index, label in enumerate(labels)}
        values["label2id"] = {label: index for index, label in enumerate(labels)}
    section: dict[str, Any] = {"version": VERSION, "architecture": architecture.full_name, "task": head.spec.task}
    if layout.spec.neck is not None:
        section["neck"] = {"name": layout.spec.neck, "config": configs.neck.to_hub()}
    section["head"] = {"name": head.full_name, "config": configs.head.to_hub()}
    return values | {SECTION: section}


def _parts(
    config: Mapping[str, Any],
) -> tuple[Entry[ArchitectureSpec], Entry[NeckSpec] | None, Entry[HeadSpec]]:
    section = config[SECTION]
    if not isinstance(section, Mapping):
        raise ConfigError(f"field '{SECTION}': expected an object, found {shown(section)}.")
    version = section.get("version")
    if type(version) is not int or version != VERSION:
        raise ConfigError(
            f"field '{SECTION}.version': expected {VERSION}, found {shown(version)}.",
            hint="A newer version of zoo may have written it: pip install --upgrade zoo-sdk.",
        )
    for part in ("architecture", "head"):
        if part not in section:
            raise ConfigError(f"field '{SECTION}.{part}': is missing; it names the {part}.")
    architecture = _part(registry().architectures, "architecture", section["architecture"])
    neck = _part(registry().necks, "neck.name", _name(section, "neck")) if "neck" in section else None
    return architecture, neck, _part(registry().heads, "head.name", _name(section, "head"))


def _name(section: Mapping[str, Any], part: str) -> object:
    stated = section[part]
    if not isinstance(stated, Mapping) or "name" not in stated:
        raise ConfigError(
            f'field \'{SECTION}.{part}\': expected {{"name": ..., "config": ...}}, found {shown(stated)}.'
        )
    return stated["name"]


def _part(catalog: Catalog[S], field: str, name: object) -> Entry[S]:
    """The entry of a full name. What a process registered for itself may since have come into a package, which then
    owns its bare name.
    """
    if not isinstance(name, str) or len(name) > _LONGEST_NAME:
        raise ConfigError(f"field '{SECTION}.{field}': expected a name, found {shown(name)}.")
    try:
        if catalog.find(name) is None:
            name = name.removeprefix(f"{THIS_PROCESS}:")
        return catalog.get(name)
    except (AmbiguousName, NameNotFound) as error:
        raise type(error)(f"field '{SECTION}.{field}': {error.message}", hint=error.hint) from error


def _config(entry: Entry[Any], section: Mapping[str, Any], part: str) -> Any:
    values = section[part].get("config", {})
    if not isinstance(values, Mapping):
        raise ConfigError(f"field '{SECTION}.{part}.config': expected an object, found {shown(values)}.")
    try:
        return resolve_object(entry.spec.config).from_hub(values)
    except ConfigError as error:
        raise ConfigError(f"field '{SECTION}.{part}.config': {error.message}", hint=error.hint) from error
