"""The head that a test class is about: its declaration, small heads, features and targets."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

from zoo.composition import features_after, features_for, served
from zoo.interfaces import FeatureSpec
from zoo.plugins.records import Entry
from zoo.registry import registry, resolve_object
from zoo.spec import HeadSpec
from zoo.testing.declaration import DeclarationChecks
from zoo.testing.failing import fail

if TYPE_CHECKING:
    from zoo.interfaces.features import Features
    from zoo.interfaces.head import Head

__all__ = ["BATCH", "HeadSubject"]

_NOTHING: Mapping[str, Any] = MappingProxyType({})

BATCH = 5
"""It is parted into 2 and 3."""


class HeadSubject(DeclarationChecks):
    """What a child declares.

    head: its name. head_config: a small configuration, as its config class reads it. features: what a backbone may
    give it; or architecture, tiny: a backbone that it fits, and its small configuration, with the neck between them, if
    there is one. channels: of features that are made up. without_gradient: as for architectures. tolerance: how far
    results may differ that are computed in two ways. A child defines `target`.
    """

    kind = "heads"
    torch_free = ("config",)

    head: ClassVar[str]
    head_config: ClassVar[Mapping[str, Any]] = _NOTHING
    features: ClassVar[Sequence[FeatureSpec]] = ()
    architecture: ClassVar[str] = ""
    tiny: ClassVar[Mapping[str, Any]] = _NOTHING
    neck: ClassVar[str | None] = None
    channels: ClassVar[int] = 16
    without_gradient: ClassVar[Mapping[str, str]] = _NOTHING
    tolerance: ClassVar[float] = 1e-4

    def subject_name(self) -> str:
        return self.head

    def head_entry(self) -> Entry[HeadSpec]:
        """The head in the registry."""
        return registry().heads.get(self.head)

    def target(self, batch: int, size: Any) -> Any:
        """What the loss is computed from: a tensor, or tensors in dicts and tuples, with `batch` rows.

        size: (height, width) of the images, or the number of tokens, that the features are of. Let it have elements
        that don't count, in other numbers for other rows, where the head knows such.
        """
        raise NotImplementedError(f"{type(self).__name__} defines target(self, batch, size), what the loss takes.")

    def config(self) -> Any:
        """The small configuration of the head."""
        return resolve_object(self.head_entry().spec.config).from_hub(self._values())

    def feature_specs(self) -> tuple[FeatureSpec, ...]:
        """What the backbone gives, after the neck where there is one."""
        composition = self._composition()
        given: tuple[FeatureSpec, ...] = composition.config.feature_specs()
        if composition.neck is None:
            return given
        return features_after(composition.neck.spec, composition.neck_config, given)

    def built(self, seed: int = 0, features: Sequence[FeatureSpec] | None = None) -> Head:
        """The head alone with random weights, for these features of a backbone, by default those of `tiny`."""
        from zoo.testing.making_heads import make_head

        spec = self.head_entry().spec
        given = features_for(spec, self.feature_specs() if features is None else features)
        if not given:
            fail(
                f"'{self.head}' does not take what '{self.architecture or 'features'}' gives.",
                "Declare features, or an architecture (with a neck where it needs one), that it fits.",
            )
        return make_head(resolve_object(spec.head), given, self.config(), seed)

    def _values(self) -> dict[str, Any]:
        values: dict[str, Any] = json.loads(json.dumps(dict(self.head_config)))
        return values

    def _composition(self) -> Any:
        from zoo.composing import Composition

        head = self.head_entry()
        name, values = self.architecture, dict(self.tiny)
        if self.features:
            from zoo.testing.stand_in import NAME, register_stand_in, stand_in_values

            register_stand_in(self.features[0].modality)
            name, values = NAME, stand_in_values(self.features)
        elif not name:
            fail(
                f"{type(self).__name__} declares no features.",
                "Set `features` to a tuple of FeatureSpecs, or `architecture` and `tiny` to a backbone that it fits.",
            )
        architecture = registry().architectures.get(name)
        model_type = (*architecture.spec.model_types, architecture.spec.name)[0]
        config = resolve_object(architecture.spec.config).from_hub(
            {"model_type": model_type, **json.loads(json.dumps(values))}
        )
        neck = None if self.neck is None else registry().necks.get(self.neck)
        requirements = head.spec.requirements if neck is None else (neck.spec.requires,)
        first = served(requirements, config.feature_specs())
        if first is not None and first.kind == "map":
            config = config.maps_only()
        return Composition(
            architecture=architecture,
            config=config,
            task=registry().tasks.meant_by(head.distribution, head.spec.task),
            neck=neck,
            neck_config=None if neck is None else resolve_object(neck.spec.config)(),
            head=head,
            head_config=self.config(),
        )

    def _composed_values(self) -> dict[str, Any]:
        """A config.json of the backbone with this head: the section `zoo` says what of."""
        composition = self._composition()
        section: dict[str, Any] = {
            "version": 1,
            "architecture": composition.architecture.full_name,
            "task": composition.task.full_name,
            "head": {"name": composition.head.full_name, "config": composition.head_config.to_hub()},
        }
        if composition.neck is not None:
            section["neck"] = {"name": composition.neck.full_name, "config": composition.neck_config.to_hub()}
        values: dict[str, Any] = composition.config.to_hub()
        return values | {"zoo": section}

    def _shaken(self) -> Head:
        from zoo.testing.parity import shake

        head = self.built()
        shake(head)
        return head

    def _training(self) -> Head:
        """In training, but for what draws random numbers or looks at the whole batch."""
        from zoo.testing.making_heads import settled

        return settled(self._shaken().train())

    def _features_and_target(self) -> tuple[Features, Any]:
        from zoo.testing.making_features import make_features, size_for

        specs = features_for(self.head_entry().spec, self.feature_specs())
        size = size_for(specs)
        return make_features(specs, BATCH, size), self.target(BATCH, size)
