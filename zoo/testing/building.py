"""Checks of building a model: the features it promises, the meta device, and random weights."""

from __future__ import annotations

from typing import Any

from zoo.registry import resolve_object
from zoo.testing.configuration import check_refusals, check_round_trip
from zoo.testing.failing import fail, some
from zoo.testing.subject import ArchitectureSubject

__all__ = ["BuildingChecks"]


class BuildingChecks(ArchitectureSubject):
    """From a configuration to a model with random weights."""

    def test_config_round_trips(self) -> None:
        """config.json is what others read, so nothing of it may be lost."""
        check_round_trip(resolve_object(self.architecture_entry().spec.config), self.hub_values())

    def test_config_refuses_bad_values(self) -> None:
        """A wrong value is found when it is read, not when a tensor has an odd shape."""
        check_refusals(resolve_object(self.architecture_entry().spec.config), self.hub_values())

    def test_feature_specs_equal_real_shapes(self) -> None:
        """What composes is decided by what the configuration says, before anything is built."""
        import torch

        from zoo.testing.feature_shapes import check_features

        model = self.model()
        sizes = self.sizes()
        if len(sizes) < 2:
            fail("Features are compared at two sizes of inputs or more.", "Declare another size.")
        for size in sizes:
            with torch.no_grad():
                features = model(**self.inputs(2, size))
            check_features(self.config().feature_specs(), features, 2, size)

    def test_building_on_the_meta_device_allocates_nothing(self) -> None:
        """Weights are mapped into a model that was built without memory."""
        from zoo.testing.allocations import allocations, tensors_elsewhere
        from zoo.weights.meta import without_memory

        model_class = resolve_object(self.architecture_entry().spec.model)
        config = self.config()
        with without_memory(), allocations() as made:
            model = model_class(config)
        if made:
            fail(
                f"Building {model_class.__name__} on the meta device allocates tensors: {some(made)}.",
                "Make tensors in __init__ without `device=...`; what is computed from the configuration belongs into "
                "`reset_derived(device)`, and plain numbers into `math`.",
            )
        elsewhere = tensors_elsewhere(model)
        if elsewhere:
            fail(
                f"Built on the meta device, {model_class.__name__} holds tensors elsewhere: {some(elsewhere)}.",
                "Register them as buffers with persistent=False, and compute them in `reset_derived(device)`.",
            )

    def test_initial_weights_come_from_the_generator_alone(self) -> None:
        """The same seed gives the same model, everywhere."""
        import torch

        import zoo

        before = torch.get_rng_state()
        first, second, other = (
            zoo.create(self.hub_values(), task=None, seed=seed, device="cpu").state_dict() for seed in (0, 0, 1)
        )
        check_initial_weights(first, second, other)
        if not torch.equal(before, torch.get_rng_state()):
            fail(
                "Creating a model draws from torch's global random numbers.", "Pass `generator=` to every nn.init call."
            )


def check_initial_weights(first: Any, second: Any, other: Any) -> None:
    """State dicts of two models from one seed, and of one from another seed."""
    differing = [name for name, tensor in first.items() if not tensor.equal(second[name])]
    if differing:
        fail(
            f"Two models from one seed differ in {some(differing)}.",
            "init_weights must fill every parameter and persistent buffer, drawing from its generator only.",
        )
    undefined = [name for name, tensor in first.items() if tensor.is_floating_point() and not tensor.isfinite().all()]
    if undefined:
        fail(f"Random weights are not finite: {some(undefined)}.", "init_weights must fill every parameter.")
    if first and all(tensor.equal(other[name]) for name, tensor in first.items()):
        fail("Two seeds give one model.", "init_weights must draw from the generator that it is given.")
