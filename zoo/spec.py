"""What plugins contribute: frozen records made of strings, so that listing imports no code.

A reference to code is a string `"package.module:Object"`; nothing is imported until it is used
(`zoo.registry.resolve_object`). Every record is keyword-only, so fields can be added without breaking a plugin.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

__all__ = [
    "API_VERSION",
    "ArchitectureSpec",
    "AttentionSpec",
    "CommandSpec",
    "FeatureKind",
    "FeatureRequirement",
    "FormatSpec",
    "HeadSpec",
    "LayoutSpec",
    "Manifest",
    "Modality",
    "NeckSpec",
    "PreprocessorSpec",
    "PresetSpec",
    "Spec",
    "TaskSpec",
]

API_VERSION = 1
"""The version of the plugin contract. A plugin states the one it was written for in its Manifest."""

FeatureKind = Literal["map", "tokens", "vector"]
"""The shape of features: a map has places in rows and columns, tokens are a sequence, a vector is one for all."""

Modality = Literal["text", "image", "audio", "video"]
"""What features are made from, and what a preprocessor prepares."""

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
_REFERENCE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What a plugin says of itself: the contract it was written for, its licence, where its documentation is."""

    api_version: int
    licence: str
    docs_url: str = ""
    summary: str = ""


@dataclass(frozen=True, kw_only=True)
class Spec:
    """What all contributions share.

    name: lower case, digits, '.', '_' and '-'. aliases: other names for the same thing.
    fallback: consulted only when nothing else claims the name; its full name always reaches it.
    """

    name: str
    aliases: tuple[str, ...] = ()
    summary: str = ""
    fallback: bool = False

    def __post_init__(self) -> None:
        for name in (self.name, *self.aliases):
            if not _NAME.fullmatch(name):
                raise ValueError(f"{type(self).__name__}: name {name!r} must match {_NAME.pattern!r}")
        for field_name in self._references():
            value = getattr(self, field_name)
            if value and not _REFERENCE.fullmatch(value):
                raise ValueError(
                    f"{type(self).__name__} {self.name!r}: {field_name}={value!r} is not of the form "
                    "'package.module:Object'"
                )

    @classmethod
    def _references(cls) -> tuple[str, ...]:
        """The fields that hold references to code."""
        return ()


@dataclass(frozen=True, kw_only=True)
class FeatureRequirement:
    """What a head or neck needs of the features it is given. None or () means that anything will do. prefix_tokens: how
    many tokens that stand for no place (class, distillation) there have to be at least.
    """

    kind: FeatureKind
    modality: Modality | None = None
    causal: bool | None = None
    strides: tuple[int, ...] = ()
    prefix_tokens: int = 0


@dataclass(frozen=True, kw_only=True)
class ArchitectureSpec(Spec):
    """A bare backbone. config: an `interfaces.Config` class; model: an `interfaces.Model` class built from it alone.

    model_types: the `model_type` values of the Hub's config.json that mean this architecture.
    default_preset: what `zoo.load(name)` loads. preprocessor: the name of a PreprocessorSpec.
    heads: task -> the head that it takes with this architecture, where that is not the task's own default.
    """

    config: str
    model: str
    modality: Modality
    default_task: str
    preprocessor: str
    default_preset: str | None = None
    model_types: tuple[str, ...] = ()
    heads: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    paper: str = ""

    @classmethod
    def _references(cls) -> tuple[str, ...]:
        return ("config", "model")


@dataclass(frozen=True, kw_only=True)
class HeadSpec(Spec):
    """Turns features into a task's output. head: an `interfaces.Head` class; config: its frozen configuration class.

    requires: what it needs of the features, or several such in order of preference, of which the first that is met
    decides which features the head is built from.
    """

    task: str
    head: str
    config: str
    requires: FeatureRequirement | tuple[FeatureRequirement, ...]

    @property
    def requirements(self) -> tuple[FeatureRequirement, ...]:
        """All of `requires`."""
        return (self.requires,) if isinstance(self.requires, FeatureRequirement) else self.requires

    @classmethod
    def _references(cls) -> tuple[str, ...]:
        return ("head", "config")


@dataclass(frozen=True, kw_only=True)
class NeckSpec(Spec):
    """Adapts features to a head. It is always named by the user or a layout, never guessed.

    neck: an `interfaces.neck.Neck` class, built from the features that serve its requirement. config: its
    `interfaces.neck_config.NeckConfig` class, which says what features it gives; torch-free.
    """

    neck: str
    config: str
    requires: FeatureRequirement

    @classmethod
    def _references(cls) -> tuple[str, ...]:
        return ("neck", "config")


@dataclass(frozen=True, kw_only=True)
class TaskSpec(Spec):
    """A task under its canonical id (the Hub's pipeline_tag).

    inputs, outputs: what goes in and comes out, in words for listings. model: the class that joins backbone and head
    (`interfaces.ComposedTaskModel` or a child). pipeline: called with (model, preprocessor).
    default_heads: the head for each kind of features, e.g. {"tokens": "causal-lm"}. headless: the backbone alone does
    the task, any of this modality.
    """

    inputs: str
    outputs: str
    pipeline: str | None = None
    model: str = "zoo.interfaces.task_model:ComposedTaskModel"
    default_heads: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    headless: bool = False
    modality: Modality | None = None

    @classmethod
    def _references(cls) -> tuple[str, ...]:
        return ("pipeline", "model")


@dataclass(frozen=True, kw_only=True)
class PreprocessorSpec(Spec):
    """Raw inputs to model inputs. preprocessor: an `interfaces.Preprocessor` class with `from_files`."""

    preprocessor: str
    modality: Modality

    @classmethod
    def _references(cls) -> tuple[str, ...]:
        return ("preprocessor",)


@dataclass(frozen=True, kw_only=True)
class LayoutSpec(Spec):
    """How an architecture, alone (head=None) or with a head, lies on disk.

    matches: called with `interfaces.ModelMetadata`, True when a checkpoint is in this layout; torch-free.
    neck: the name of the neck between them, if there is one.
    read_config: ModelMetadata -> `interfaces.LayoutConfigs` (of the architecture, the neck and the head); torch-free.
    It is also asked about the architecture's own config.json, for a head that has yet to be trained.
    write_config: LayoutConfigs -> the contents of config.json, or None for layouts that are only read.
    key_map: a `weights.KeyMap`, or a callable LayoutConfigs -> KeyMap. class_name: the entry of `architectures` in
    config.json.
    """

    architecture: str
    matches: str
    read_config: str
    key_map: str
    head: str | None = None
    neck: str | None = None
    write_config: str | None = None
    class_name: str | None = None

    @classmethod
    def _references(cls) -> tuple[str, ...]:
        return ("matches", "read_config", "key_map", "write_config")


@dataclass(frozen=True, kw_only=True)
class PresetSpec(Spec):
    """Published weights under a short name. sources: references in order of preference; the first that can be had is
    used.

    config: the contents of its config.json, so that `zoo.create` and `zoo info` need no download. default: what the
    architecture's name means together with the task, as in `zoo.load("swin", task="segmentation")`.
    """

    architecture: str
    sources: tuple[str, ...]
    task: str | None = None
    default: bool = False
    config: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    licence: str = ""
    size_bytes: int | None = None


@dataclass(frozen=True, kw_only=True)
class FormatSpec(Spec):
    """A checkpoint file format. open: pathlib.Path -> `checkpoint.Checkpoint`; torch-free, reads headers only.

    A file is of this format when at byte `magic_offset` it has `magic`, or one of several; otherwise when it has one of
    `suffixes` (".gguf") and no format claims it by its magic.
    """

    open: str
    suffixes: tuple[str, ...] = ()
    magic: bytes | tuple[bytes, ...] = b""
    magic_offset: int = 0

    @property
    def magics(self) -> tuple[bytes, ...]:
        """All of `magic`."""
        magics = (self.magic,) if isinstance(self.magic, bytes) else self.magic
        return tuple(magic for magic in magics if magic)

    @classmethod
    def _references(cls) -> tuple[str, ...]:
        return ("open",)


@dataclass(frozen=True, kw_only=True)
class AttentionSpec(Spec):
    """An attention backend. backend: an instance or class that keeps to `nn.attention.AttentionBackend`.

    priority: among the backends that can serve a need, "auto" takes the one with the highest.
    """

    backend: str
    priority: int = 0

    @classmethod
    def _references(cls) -> tuple[str, ...]:
        return ("backend",)


@dataclass(frozen=True, kw_only=True)
class CommandSpec(Spec):
    """A subcommand of `zoo`.

    command: a click command; imported only when it is invoked. summary: its line in `zoo --help`.
    """

    command: str

    @classmethod
    def _references(cls) -> tuple[str, ...]:
        return ("command",)
