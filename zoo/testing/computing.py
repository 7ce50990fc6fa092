"""Checks of what a model computes: in any dtype, the same again, each input for itself, and with gradients."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar

from zoo.testing.failing import fail, some
from zoo.testing.subject import ArchitectureSubject

__all__ = ["ComputingChecks"]


class ComputingChecks(ArchitectureSubject):
    """From inputs to features.

    without_gradient: parameters that features don't depend on, as patterns of their names ("*.mask_token"), with the
    reason of each.
    """

    without_gradient: ClassVar[Mapping[str, str]] = MappingProxyType({})

    def test_forward_takes_any_floating_dtype(self) -> None:
        """A model that was moved to a dtype computes in it."""
        import torch

        from zoo.testing.comparing import compare, tensors_of

        inputs = self.inputs(2, self.sizes()[0])
        with torch.no_grad():
            expected = self.model()(**inputs)
            for dtype in (torch.float64, torch.bfloat16):
                model = self.model().to(dtype)
                moved = {
                    name: value.to(dtype) if value.is_floating_point() else value for name, value in inputs.items()
                }
                try:
                    features = model(**moved)
                except RuntimeError as error:
                    fail(
                        f"In {dtype}: {str(error).splitlines()[0]}",
                        "Make tensors in forward in the dtype of the inputs or weights, e.g. with `x.new_zeros(...)`.",
                    )
                for name, tensor in tensors_of(features).items():
                    if tensor.is_floating_point() and tensor.dtype != dtype and not name.startswith("extras"):
                        fail(
                            f"In {dtype}, {name} is {tensor.dtype}.",
                            "Where a step needs float32, bring its result back to the dtype of the input.",
                        )
                    if not tensor.isfinite().all():
                        fail(f"In {dtype}, {name} is not finite.", "Do the step that overflows in float32.")
                if dtype == torch.float64:
                    single = {name: tensor.float() for name, tensor in tensors_of(features).items()}
                    double = {name: tensor.float() for name, tensor in tensors_of(expected).items()}
                    compare(single, double, self.tolerance, "In float64 the result is another", "Look for rounding.")

    def test_forward_follows_the_device(self) -> None:
        """A model that was moved to an accelerator gives there what it gives on the CPU; where there is none, the meta
        device tells tensors that stay behind.
        """
        import torch

        from zoo.testing.comparing import compare, tensors_of

        accelerator = torch.accelerator.current_accelerator(check_available=True)
        device = accelerator or torch.device("meta")
        change = "Keep tensors that forward needs in buffers, or make them on the device of the inputs."
        inputs = self.inputs(2, self.sizes()[0])
        model = self.model()
        with torch.no_grad():
            expected = tensors_of(model(**inputs))
            try:
                actual = tensors_of(model.to(device)(**{name: value.to(device) for name, value in inputs.items()}))
            except NotImplementedError:
                if accelerator is None:
                    return  # a step that looks at values, of which the meta device has none
                raise
            except RuntimeError as error:
                fail(f"On {device}: {str(error).splitlines()[0]}", change)
        behind = [name for name, tensor in actual.items() if tensor.device.type != device.type]
        if behind:
            fail(f"On {device}, {some(behind)} is somewhere else.", change)
        if accelerator is not None:
            moved = {name: tensor.cpu() for name, tensor in actual.items()}
            compare(moved, expected, self.tolerance * 10, f"On {device} the result is another", change)

    def test_forward_is_deterministic(self) -> None:
        """In evaluation mode nothing is drawn, and nothing is left behind by a call."""
        import torch

        from zoo.testing.comparing import compare

        model = self.model().eval()
        first, second = self.sizes()[:2]
        inputs = self.inputs(2, first)
        change = "Draw only in training (`self.training`), and keep no state between calls."
        with torch.no_grad():
            expected = model(**inputs)
            model(**self.inputs(1, second))
            compare(model(**inputs), expected, 0.0, "The second call gives another result than the first", change)
        if any(value.grad_fn is not None for value in model.buffers()):
            fail("A buffer is part of a graph after a call.", change)

    def test_forward_is_batch_invariant(self) -> None:
        """What an input gives does not depend on what else is in the batch."""
        import torch

        from zoo.testing.comparing import compare, rows, tensors_of

        model = self.model()
        inputs = self.inputs(2, self.sizes()[0])
        with torch.no_grad():
            both = tensors_of(model(**inputs))
            singles = [tensors_of(model(**rows(inputs, index, index + 1))) for index in range(2)]
        rowless = [name for name, tensor in both.items() if tensor.shape[:1] != (2,) and not name.startswith("extras")]
        if rowless:
            fail(
                f"Of a batch of 2, {some(rowless)} has not 2 rows.",
                "Give every feature the batch as its first dimension.",
            )
        both = {name: tensor for name, tensor in both.items() if tensor.shape[:1] == (2,)}
        apart = {name: torch.cat([single[name] for single in singles]) for name in both if name in singles[0]}
        compare(
            both,
            apart,
            self.tolerance,
            "A batch of two gives another result than each of them alone",
            "Look for means or maxima over the batch, and for views that mix its rows.",
        )

    def test_gradients_reach_every_parameter(self) -> None:
        """A parameter without one is not trained, and nobody notices."""
        from zoo.testing.comparing import loss_of

        model = self.model()
        loss_of(model(**self.inputs(2, self.sizes()[0]))).backward()  # type: ignore[no-untyped-call]
        check_gradients(
            {name: parameter.grad for name, parameter in model.named_parameters()},
            self.without_gradient,
            f"{type(self).__name__}.without_gradient",
        )

    def test_causal_features_see_only_what_is_before_them(self) -> None:
        """Heads for generation rely on what `FeatureSpec.causal` says."""
        import torch

        specs = [spec for spec in self.config().feature_specs() if spec.kind == "tokens" and spec.modality == "text"]
        size = self.sizes()[-1]
        if not specs or not isinstance(size, int):
            return
        model = self.model()
        inputs = self.inputs(1, size)
        changed = inputs["input_ids"].clone()
        changed[:, -1] = changed[:, 0] + (1 if changed[0, 0] == changed[0, -1] else 0)
        with torch.no_grad():
            before, after = model(**inputs).tokens, model(**inputs | {"input_ids": changed}).tokens
        moved = (before[:, :-1] - after[:, :-1]).abs().max().item() > self.tolerance
        if moved and specs[0].causal:
            fail(
                "A change of the last token changes features before it, and feature_specs says causal=True.",
                "Mask what comes after a token in attention, or say causal=False.",
            )
        if not moved and not specs[0].causal:
            fail(
                "A change of the last token changes no feature before it, and feature_specs says causal=False.",
                "Say causal=True, so that heads for generation fit; or attend to all tokens.",
            )


def check_gradients(gradients: Mapping[str, object], excused: Mapping[str, str], declaration: str) -> None:
    """gradients: of each parameter, or None. excused: patterns of names that need none, with reasons."""
    import torch

    lacking = []
    used = set()
    for name, gradient in gradients.items():
        reached = isinstance(gradient, torch.Tensor) and bool(gradient.any()) and bool(gradient.isfinite().all())
        patterns = [pattern for pattern in excused if fnmatch.fnmatchcase(name, pattern)]
        if not reached and not patterns:
            lacking.append(name)
        if not reached:
            used.update(patterns)
    if lacking:
        fail(
            f"No gradient, or none that is finite and not zero, reaches {some(lacking)}.",
            f"Use these parameters in forward, without detaching; or name them in {declaration}, with the reason.",
        )
    stale = [pattern for pattern in excused if pattern not in used]
    if stale:
        fail(f"{declaration} excuses {some(stale)}, which gradients reach.", "Take it out of the declaration.")
