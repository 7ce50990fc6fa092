"""The conformance of a head."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

from zoo.composition import features_after, features_for, require_fit, served
from zoo.errors import CompositionError
from zoo.interfaces import FeatureSpec
from zoo.plugins.records import Entry
from zoo.registry import registry, resolve_object
from zoo.spec import ArchitectureSpec, FeatureKind, HeadSpec
from zoo.testing.configuration import check_refusals, check_round_trip
from zoo.testing.declaration import DeclarationChecks
from zoo.testing.failing import fail

if TYPE_CHECKING:
    from zoo.interfaces.features import Features
    from zoo.interfaces.head import Head

__all__ = ["HeadConformance"]

_NOTHING: Mapping[str, Any] = MappingProxyType({})

BATCH = 5
"""It is parted into 2 and 3."""


class HeadConformance(DeclarationChecks):
    """What a head promises.

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

    def test_config_round_trips(self) -> None:
        """It is saved in config.json."""
        check_round_trip(resolve_object(self.head_entry().spec.config), self._values())

    def test_config_refuses_bad_values(self) -> None:
        """A wrong value is found when it is read."""
        check_refusals(resolve_object(self.head_entry().spec.config), self._values())

    def test_initial_weights_come_from_the_generator_alone(self) -> None:
        """The same seed gives the same head, everywhere."""
        import torch

        from zoo.testing.building import check_initial_weights

        before = torch.get_rng_state()
        first, second, other = (self.built(seed).state_dict() for seed in (0, 0, 1))
        check_initial_weights(first, second, other)
        if not torch.equal(before, torch.get_rng_state()):
            fail("init_weights draws from torch's global random numbers.", "Pass `generator=` to every nn.init call.")

    def test_forward_gives_a_row_for_each_input(self) -> None:
        """The batch comes first, and each input has its own result."""
        import torch

        from zoo.testing.comparing import compare, tensors_of

        head = self._shaken().eval()
        features, _ = self._features_and_target()
        with torch.no_grad():
            output = tensors_of(head(features))
            alone = tensors_of(head(_part(features, 0, 1)))
        if not output:
            fail("The output has no tensor.", "Return a dataclass that `zoo.interfaces.pytree.register_pytree` marks.")
        for name, tensor in output.items():
            if tensor.shape[:1] != (BATCH,) or not bool(tensor.isfinite().all()):
                fail(
                    f"Of {BATCH} inputs, {name} is {tuple(tensor.shape)}, or has values that are not finite.",
                    "Give it the batch as its first dimension.",
                )
        labels = getattr(self.config(), "labels", None)
        if labels is not None and "logits" in output and len(labels) not in output["logits"].shape[1:]:
            fail(
                f"The config has {len(labels)} labels, and the logits are {tuple(output['logits'].shape)}.",
                "Give each label a score.",
            )
        compare(
            {name: tensor[:1] for name, tensor in output.items()},
            alone,
            self.tolerance,
            "An input gives another result in a batch than alone",
            "Look for means over the batch.",
        )

    def test_loss_is_finite_and_in_named_terms(self) -> None:
        """What the trainer logs and adds up."""
        head = self._training()
        features, target = self._features_and_target()
        loss, terms = head.loss(head(features), target)
        if loss.numel() != 1 or not bool(loss.isfinite()):
            fail(f"The loss is {loss}.", "Return one finite number.")
        odd = [name for name, term in terms.items() if getattr(term, "ndim", None) != 0]
        if odd or not terms:
            fail(f"The terms of the loss are {terms}.", "Return name -> tensor without dimensions, one or more.")
        counts = head.count(target)
        if not counts or any(count.numel() != 1 or count.item() <= 0 for count in counts.values()):
            fail(
                f"count(target) is {counts}.", "Return for each term how many elements of the target it averages over."
            )

    def test_counts_make_parts_equal_the_whole(self) -> None:
        """Gradient accumulation: losses of parts, with the denominators of all, add up to the loss of the whole."""
        head = self._training()
        features, target = self._features_and_target()
        counts = [head.count(_part(target, *rows)) for rows in ((0, 2), (2, BATCH))]
        whole = head.count(target)
        sums = {name: sum(count[name] for count in counts) for name in whole}
        if any(int(sums[name]) != int(count) for name, count in whole.items()):
            fail(f"Parts of a batch count {sums}, the whole counts {whole}.", "Count elements of the target.")
        expected, _ = head.loss(head(features), target)
        parts = [
            head.loss(head(_part(features, *rows)), _part(target, *rows), whole)[0] for rows in ((0, 2), (2, BATCH))
        ]
        actual = sum(part.item() for part in parts)
        if abs(actual - expected.item()) > self.tolerance * max(1.0, abs(expected.item())):
            fail(
                f"The losses of two parts add up to {actual:.6g}; of the whole batch it is {expected.item():.6g}.",
                "Divide the sum over elements by `denominators`, or by count(target) where they are None.",
            )

    def test_gradients_reach_every_parameter(self) -> None:
        """A parameter without one is not trained, and nobody notices."""
        from zoo.testing.computing import check_gradients

        head = self._training()
        features, target = self._features_and_target()
        head.loss(head(features), target)[0].backward()  # type: ignore[no-untyped-call]
        check_gradients(
            {name: parameter.grad for name, parameter in head.named_parameters()},
            self.without_gradient,
            f"{type(self).__name__}.without_gradient",
        )

    def test_takes_what_its_requirements_let_through(self) -> None:
        """What `requires` does not rule out is built, and must work."""
        import torch

        from zoo.testing.making_features import least_features, make_features, size_for

        for requirement in self.head_entry().spec.requirements:
            specs = least_features(requirement, self.channels)
            try:
                with torch.no_grad():
                    self.built(features=specs).eval()(make_features(specs, 2, size_for(specs)))
            except Exception as error:
                fail(
                    f"'{self.head}' requires {requirement}, and of no more than that it fails: "
                    f"{type(error).__name__}: {error}",
                    "Say all that it needs in `requires` of its HeadSpec.",
                )

    def test_refuses_other_features_before_it_is_built(self) -> None:
        """With the reason, in one sentence."""
        entry = self.head_entry()
        task = registry().tasks.meant_by(entry.distribution, entry.spec.task)
        kinds: tuple[FeatureKind, ...] = ("map", "tokens", "vector")
        for kind in kinds:
            for modality in ("image", "text", "audio"):
                features = [FeatureSpec(name="other", channels=self.channels, kind=kind, modality=modality, stride=7)]
                if served(entry.spec.requirements, features) is not None:
                    continue
                other = Entry(_other_architecture(modality), "other", "", "other")
                try:
                    require_fit(other, features, task, entry)
                except CompositionError as error:
                    if entry.spec.name in str(error):
                        return
                fail(f"{modality} {kind} are not refused.", "Say what it needs in `requires` of its HeadSpec.")
        fail(
            f"'{self.head}' says that it takes any features whatever.",
            "Say what it needs in `requires` of its HeadSpec: the kind, the modality, strides.",
        )

    def test_saved_and_loaded_it_is_the_same(self, tmp_path: Path) -> None:
        """With a backbone, in the layout of the pair, or under the section `zoo` of config.json."""
        import torch

        import zoo
        from zoo.testing.comparing import compare
        from zoo.testing.parity import shake
        from zoo.testing.storing import check_same_state

        task = self._composition().task.full_name
        model = zoo.create(self._composed_values(), task=task, device="cpu")
        shake(model)
        if type(model.head) is not resolve_object(self.head_entry().spec.head) or model.head.config != self.config():
            fail(
                f"Of a config.json with the head's configuration {self.config()}, the head has {model.head.config}.",
                "Let from_hub of its config read what to_hub writes.",
            )
        zoo.save(model, tmp_path, sync=False)
        loaded, _ = zoo.load(tmp_path, task=task, device="cpu")
        if type(loaded.head) is not type(model.head) or loaded.head.config != model.head.config:
            fail(
                f"Saved and loaded, the head is a {type(loaded.head).__name__} with {loaded.head.config}; it was a "
                f"{type(model.head).__name__} with {model.head.config}.",
                "Let to_hub of its config write every field that differs from its default.",
            )
        check_same_state(model, loaded)
        features, _ = self._features_and_target()
        with torch.no_grad():
            compare(
                loaded.head(features),
                model.head(features),
                0.0,
                "The loaded head computes another result, with the same weights",
                "Let the head depend on its features and configuration alone.",
            )

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


def _part(value: Any, first: int, last: int) -> Any:
    """Some rows of all tensors inside."""
    from torch import Tensor
    from torch.utils import _pytree

    return _pytree.tree_map(lambda leaf: leaf[first:last] if isinstance(leaf, Tensor) and leaf.ndim else leaf, value)


def _other_architecture(modality: Any) -> ArchitectureSpec:
    return ArchitectureSpec(
        name="other", config="other:Config", model="other:Model", modality=modality, default_task="", preprocessor=""
    )
