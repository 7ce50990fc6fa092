"""The architecture that a test class is about: its declaration, tiny models of it, and inputs for them."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

from zoo.interfaces import Config
from zoo.plugins.records import Entry
from zoo.registry import registry, resolve_object
from zoo.spec import ArchitectureSpec
from zoo.testing.declaration import DeclarationChecks
from zoo.testing.failing import fail

if TYPE_CHECKING:
    from torch import Tensor

    from zoo.interfaces.model import Model

__all__ = ["ArchitectureSubject", "image_sizes_for"]

_NOTHING: Mapping[str, Any] = MappingProxyType({})

Size = int | tuple[int, int]
"""Height and width of images, or how many tokens texts have."""


class ArchitectureSubject(DeclarationChecks):
    """What a child declares.

    architecture: its name. tiny: a small configuration, as fields or as the contents of a config.json; it may be as
    small as it likes, but should switch on what the architecture has. capabilities: names from `CAPABILITIES`.
    image_sizes: two or more that the model takes, (height, width); by default what `image_size` of the configuration
    says, and wider.
    text_lengths: two or more lengths in tokens. tolerance: how far results may differ that are computed in two ways,
    relative to the largest value.
    """

    kind = "architectures"
    torch_free = ("config",)

    architecture: ClassVar[str]
    tiny: ClassVar[Mapping[str, Any]] = _NOTHING
    capabilities: ClassVar[Collection[str]] = frozenset()
    image_sizes: ClassVar[Sequence[tuple[int, int]]] = ()
    text_lengths: ClassVar[Sequence[int]] = (7, 12)
    tolerance: ClassVar[float] = 1e-4

    def subject_name(self) -> str:
        return self.architecture

    def architecture_entry(self) -> Entry[ArchitectureSpec]:
        """The architecture in the registry."""
        return registry().architectures.get(self.architecture)

    def hub_values(self) -> dict[str, Any]:
        """`tiny` as the contents of a config.json, with the model_type of the architecture where it states none."""
        spec = self.architecture_entry().spec
        values: dict[str, Any] = json.loads(json.dumps(dict(self.tiny)))
        return {"model_type": (*spec.model_types, spec.name)[0], **values}

    def config(self) -> Config:
        """The tiny configuration."""
        config: Config = resolve_object(self.architecture_entry().spec.config).from_hub(self.hub_values())
        return config

    def model(self, seed: int = 0) -> Model:
        """A bare backbone with random weights, shaken so that no part of them does nothing; in evaluation mode, and the
        same in every call.
        """
        import torch

        import zoo
        from zoo.testing.parity import shake

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)  # should it draw from the global numbers, one check says so and no other
            model: Model = zoo.create(self.hub_values(), task=None, seed=seed, device="cpu")
        shake(model, seed)
        return model

    def sizes(self) -> Sequence[Size]:
        """The sizes of inputs that checks use, two or more."""
        modality = self.architecture_entry().spec.modality
        if modality == "text":
            return self.text_lengths
        if modality == "image":
            return self.image_sizes or image_sizes_for(self.config())
        return fail(
            f"The kit makes no inputs for {modality}.",
            f"Define sizes(self) and inputs(self, batch, size) in {type(self).__name__}: two sizes of your choice, and "
            "the keyword arguments of the model's forward for a batch of that size.",
        )

    def inputs(self, batch: int, size: Any) -> dict[str, Tensor]:
        """The keyword arguments of the model's forward, the same for the same size; each tensor has `batch` rows.

        Images: pixel_values. Texts: input_ids and attention_mask, without padding. A child makes its own by extending
        this.
        """
        import torch

        generator = torch.Generator().manual_seed(0)
        config = self.config()
        if isinstance(size, int):
            vocabulary = getattr(config, "vocab_size", 100)
            ids = torch.randint(1, vocabulary, (batch, size), generator=generator)
            return {"input_ids": ids, "attention_mask": torch.ones(batch, size, dtype=torch.int64)}
        channels = getattr(config, "num_channels", 3)
        return {"pixel_values": torch.randn(batch, channels, *size, generator=generator)}


def image_sizes_for(config: Config) -> tuple[tuple[int, int], ...]:
    """Two sizes of images, one of them not square, that all strides divide; no smaller than what the configuration is
    made for.
    """
    strides = [feature.stride for feature in config.feature_specs() if feature.stride is not None]
    unit = math.lcm(*strides) if strides else 32
    made_for = getattr(config, "image_size", None)
    side = max(2, -(-made_for // unit)) * unit if isinstance(made_for, int) else 2 * unit
    return (side, side), (side, side + unit)
