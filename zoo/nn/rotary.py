"""Rotary position embedding (Su et al., 2021) and the scalings that stretch it past the trained context."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

__all__ = ["RotaryEmbedding", "RotaryParameters", "rotate"]


@dataclass(frozen=True, kw_only=True)
class RotaryParameters:
    """What the rotation's frequencies depend on.

    scaling: "default" (none), "linear" (position interpolation, Chen et al., 2023), "dynamic" (NTK-aware, growing with
    the sequence) or "llama3" (Llama 3.1: long wavelengths divided by factor, short ones kept, a ramp between).
    original_max_positions: the context before stretching, in tokens.
    """

    head_dim: int
    theta: float
    scaling: Literal["default", "linear", "dynamic", "llama3"] = "default"
    factor: float = 1.0
    original_max_positions: int = 0
    low_freq_factor: float = 1.0
    high_freq_factor: float = 4.0


class RotaryEmbedding(nn.Module):
    """Angles of the rotation for given positions. The frequencies stay in float32 whatever the model is cast to."""

    inverse_frequencies: Tensor

    def __init__(self, parameters: RotaryParameters) -> None:
        super().__init__()
        self.rotary = parameters
        self.register_buffer("inverse_frequencies", torch.empty(parameters.head_dim // 2), persistent=False)
        self.reset_derived(self.inverse_frequencies.device)

    def reset_derived(self, device: torch.device) -> None:
        """Compute the frequencies on a device."""
        self.inverse_frequencies = inverse_frequencies(self.rotary, device)

    def forward(self, positions: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """positions: (batch, length) -> cos and signed sin, (batch, 1, length, head_dim) each, for `rotate`."""
        frequencies = self.inverse_frequencies
        if self.rotary.scaling == "dynamic":
            length = int(positions.max()) + 1
            if length > self.rotary.original_max_positions:
                frequencies = inverse_frequencies(self.rotary, positions.device, length)
        angles = positions[:, None, :, None].float() * frequencies
        cos, sin = angles.cos().to(dtype), angles.sin().to(dtype)
        return torch.cat((cos, cos), dim=-1), torch.cat((-sin, sin), dim=-1)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> RotaryEmbedding:
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        if self.inverse_frequencies.dtype != torch.float32:  # a cast of the model would lose precision for good
            self.reset_derived(self.inverse_frequencies.device)
        return self

    def extra_repr(self) -> str:
        """What torch prints of the module."""
        return repr(self.rotary)


def rotate(x: Tensor, cos: Tensor, signed_sin: Tensor) -> Tensor:
    """Rotate pairs (i, i + head_dim/2) of x: (batch, heads, length, head_dim), by the angles of RotaryEmbedding."""
    return torch.addcmul(x * cos, x.roll(x.shape[-1] // 2, dims=-1), signed_sin)


def inverse_frequencies(parameters: RotaryParameters, device: torch.device, length: int | None = None) -> Tensor:
    """The angle per position of each pair, (head_dim / 2,), in float32; without values on the meta device.

    length: of the sequence, for the "dynamic" scaling.
    """
    dim, theta = parameters.head_dim, parameters.theta
    if device.type == "meta":  # arithmetic there would make torch import its compiler
        return torch.empty(dim // 2, device=device)
    if parameters.scaling == "dynamic" and length is not None:
        stretch = parameters.factor * length / parameters.original_max_positions - (parameters.factor - 1)
        theta = theta * stretch ** (dim / (dim - 2))
    frequencies = 1.0 / theta ** (torch.arange(0, dim, 2, dtype=torch.float32, device=device) / dim)
    if parameters.scaling == "linear":
        return frequencies / parameters.factor
    if parameters.scaling == "llama3":
        return _llama3(frequencies, parameters)
    return frequencies


def _llama3(frequencies: Tensor, parameters: RotaryParameters) -> Tensor:
    """Interpolate between scaled and unscaled frequencies by how many full turns fit into the original context."""
    turns = parameters.original_max_positions * frequencies / (2 * math.pi)
    low, high = parameters.low_freq_factor, parameters.high_freq_factor
    keep = ((turns - low) / (high - low)).clamp(0, 1)
    return frequencies * (keep + (1 - keep) / parameters.factor)
