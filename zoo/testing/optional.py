"""Checks of what a model may be able to do, one for each capability."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from zoo.testing.capabilities import NotCapable, hold_to, require_known
from zoo.testing.subject import ArchitectureSubject

__all__ = ["CapabilityChecks"]


class CapabilityChecks(ArchitectureSubject):
    """What `capabilities` names."""

    def test_capabilities_are_known(self) -> None:
        """A name that is misspelt would never be checked."""
        require_known(self.capabilities, type(self).__name__)

    def test_padding_changes_nothing(self) -> None:
        """Capability "padding_invariant": a padded text in a batch gives what it gives alone.

        Padding on the right; for causal features on the left as well, as generation pads.
        """
        self._hold_to("padding_invariant", self._check_padding)

    def test_decoding_with_a_cache_equals_one_pass(self) -> None:
        """Capability "cache": tokens one by one, or several at once, after those in the cache."""
        self._hold_to("cache", self._check_cache)

    def test_attention_backends_agree(self) -> None:
        """Capability "attention_backends"."""
        self._hold_to("attention_backends", self._check_attention)

    def test_compiles_as_one_graph(self) -> None:
        """Capability "compile": `torch.compile(fullgraph=True)`, with the backend that runs the graph as it is."""
        self._hold_to("compile", self._check_compile)

    def test_exports(self) -> None:
        """Capability "export"."""
        self._hold_to("export", self._check_export)

    def test_gradient_checkpointing_changes_no_gradient(self) -> None:
        """Capability "gradient_checkpointing"."""
        self._hold_to("gradient_checkpointing", self._check_checkpointing)

    def _hold_to(self, capability: str, check: Callable[[], None]) -> None:
        hold_to(capability, self.capabilities, check, type(self).__name__)

    def _check_padding(self) -> None:
        import torch

        from zoo.testing.comparing import compare

        length = self.sizes()[0]
        if not isinstance(length, int):
            raise NotCapable("its inputs are no texts")
        model = self.model()
        inputs = self.inputs(1, length)
        causal = any(spec.causal for spec in self.config().feature_specs())
        with torch.no_grad():
            alone = model(**inputs)
            for left in (False, True) if causal else (False,):
                padded = model(**{name: _padded(value, left) for name, value in inputs.items()})
                first = _PADDING if left else 0
                real = {"tokens": padded.tokens[:, first : first + alone.tokens.shape[1]]}
                expected = {"tokens": alone.tokens}
                if alone.vector is not None:
                    real["vector"], expected["vector"] = padded.vector, alone.vector
                compare(
                    real,
                    expected,
                    self.tolerance,
                    f"With {_PADDING} tokens of padding on the {'left' if left else 'right'} the result is another",
                    "Let `attention_mask` keep padding out of attention and pooling, and positions count real tokens.",
                )

    def _check_cache(self) -> None:
        import torch

        from zoo.generation.cache import KVCache
        from zoo.testing.comparing import compare

        model = self.model()
        spec = model.cache_spec()
        length = self.sizes()[-1]
        if spec is None or not isinstance(length, int):
            raise NotCapable("cache_spec() is None")
        inputs = self.inputs(2, length)
        whole = {name: value for name, value in inputs.items() if name != "attention_mask"}
        cache = KVCache(spec)
        with torch.no_grad():
            expected = model(**whole).tokens
            parts = []
            for first, last in _steps(length):
                parts.append(model(input_ids=whole["input_ids"][:, first:last], cache=cache).tokens)
                if cache.length != last:
                    raise AssertionError(
                        f"After {last} tokens the length of the cache is {cache.length}: call `cache.advance(new)` "
                        "once in each forward."
                    )
        compare(
            {"tokens": torch.cat(parts, dim=1)},
            {"tokens": expected},
            self.tolerance,
            "Decoding with a cache gives another result than one pass",
            "Count positions from `cache.length`, and let each layer append to its own part of the cache.",
        )

    def _check_attention(self) -> None:
        import torch

        from zoo.errors import AttentionUnavailable, MissingDependency
        from zoo.nn.attention import Attention, bind_attention
        from zoo.registry import registry
        from zoo.testing.comparing import compare

        model = self.model()
        if not any(isinstance(module, Attention) for module in model.modules()):
            raise NotCapable("no module is a zoo.nn.attention.Attention")
        inputs = self.inputs(2, self.sizes()[-1])
        results = {}
        for backend in registry().attention:
            try:
                bind_attention(model, backend.full_name)
            except (AttentionUnavailable, MissingDependency):
                continue
            with torch.no_grad():
                results[backend.full_name] = model(**inputs)
        if len(results) < 2:
            raise NotCapable(f"only {', '.join(results) or 'none'} of the registered backends serves it")
        (first, expected), *others = results.items()
        for name, features in others:
            compare(
                features,
                expected,
                self.tolerance,
                f"With attention='{name}' the result is another than with '{first}'",
                "Say all of what the module needs in `attention_need`, and pass mask, causal and scale to the backend.",
            )

    def _check_compile(self) -> None:
        import torch

        from zoo.testing.comparing import compare

        model = self.model()
        torch._dynamo.reset()
        try:
            compiled = torch.compile(model, fullgraph=True, backend="eager")
            with torch.no_grad():
                inputs = self.inputs(2, self.sizes()[0])
                compare(
                    compiled(**inputs),
                    model(**inputs),
                    self.tolerance,
                    "The compiled model gives another result",
                    "Keep what depends on values of tensors out of forward.",
                )
        finally:
            torch._dynamo.reset()

    def _check_export(self) -> None:
        import torch

        from zoo.testing.comparing import compare

        model = self.model()
        inputs = self.inputs(2, self.sizes()[0])
        with torch.no_grad():
            exported = torch.export.export(model, (), inputs).module()
            compare(
                exported(**inputs),
                model(**inputs),
                self.tolerance,
                "The exported model gives another result",
                "Keep what depends on values of tensors out of forward.",
            )

    def _check_checkpointing(self) -> None:
        import torch

        from zoo.testing.comparing import compare, loss_of

        inputs = self.inputs(2, self.sizes()[0])
        gradients: list[dict[str, Any]] = []
        kept = []
        for recompute in (False, True):
            model = self.model().train()
            if not isinstance(getattr(model, "gradient_checkpointing", None), bool):
                raise NotCapable("the model has no attribute gradient_checkpointing")
            setattr(model, "gradient_checkpointing", recompute)  # noqa: B010  (the base class has none)
            torch.manual_seed(0)
            with _saved_bytes() as saved:
                loss = loss_of(model(**inputs))
            loss.backward()  # type: ignore[no-untyped-call]
            kept.append(sum(saved))
            gradients.append({name: parameter.grad for name, parameter in model.named_parameters()})
        if kept[1] >= kept[0]:
            raise AssertionError(
                f"with gradient_checkpointing forward keeps {kept[1]} bytes, without {kept[0]}: run blocks through "
                "`torch.utils.checkpoint.checkpoint(block, x, use_reentrant=False)` while training."
            )
        compare(
            {name: gradient for name, gradient in gradients[1].items() if gradient is not None},
            {name: gradient for name, gradient in gradients[0].items() if gradient is not None},
            self.tolerance,
            "Gradient checkpointing changes gradients",
            "Recompute with the same random numbers: `checkpoint(..., preserve_rng_state=True)`.",
        )


_PADDING = 3


def _padded(value: Any, left: bool) -> Any:
    """Ids and masks with padding: ids that are real elsewhere, and a mask of zeros."""
    import torch

    extra = (
        value[:, :1].expand(-1, _PADDING) if value.max() > 1 else torch.zeros_like(value[:, :1]).expand(-1, _PADDING)
    )
    return torch.cat([extra, value] if left else [value, extra], dim=1)


def _steps(length: int) -> Iterator[tuple[int, int]]:
    """Several tokens, one, one, and the rest."""
    edges = [0, max(1, length - 4), max(2, length - 3), max(3, length - 2), length]
    return ((first, last) for first, last in itertools.pairwise(edges) if first < last)


@contextmanager
def _saved_bytes() -> Iterator[list[int]]:
    """The sizes of what the forward inside keeps for the backward pass."""
    import torch

    sizes: list[int] = []

    def pack(tensor: Any) -> Any:
        sizes.append(tensor.nbytes)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        yield sizes
