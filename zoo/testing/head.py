"""The conformance of a head."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from zoo.composition import require_fit, served
from zoo.errors import CompositionError
from zoo.interfaces import FeatureSpec
from zoo.plugins.records import Entry
from zoo.registry import registry, resolve_object
from zoo.spec import ArchitectureSpec, FeatureKind
from zoo.testing.configuration import check_refusals, check_round_trip
from zoo.testing.failing import fail
from zoo.testing.head_subject import BATCH, HeadSubject

__all__ = ["HeadConformance"]


class HeadConformance(HeadSubject):
    """Every promise that a head makes, as tests. A child declares `head`, `head_config`, and `features` or an
    `architecture`, and defines `target`.
    """

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
                1e-5,  # the same numbers that lie elsewhere in memory may be added up in another order
                "The loaded head computes another result, with the same weights",
                "Let the head depend on its features and configuration alone.",
            )


def _part(value: Any, first: int, last: int) -> Any:
    """Some rows of all tensors inside."""
    from torch import Tensor
    from torch.utils import _pytree

    return _pytree.tree_map(lambda leaf: leaf[first:last] if isinstance(leaf, Tensor) and leaf.ndim else leaf, value)


def _other_architecture(modality: Any) -> ArchitectureSpec:
    return ArchitectureSpec(
        name="other", config="other:Config", model="other:Model", modality=modality, default_task="", preprocessor=""
    )
