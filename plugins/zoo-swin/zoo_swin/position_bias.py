"""What attention knows of positions: a bias per head and pair of positions of a window, learned as a table (Swin) or
computed by a small network from their distance (Swin V2).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo_swin.windows import Windows, relative_positions

__all__ = ["ContinuousPositionBias", "PositionBias", "RelativePositionBias"]


class _Seen:
    """A parameter as it was when a bias was computed from it."""

    def __init__(self, parameter: Tensor) -> None:
        self.parameter = parameter
        self.version = parameter.data_ptr(), parameter._version
        self.copy = parameter.clone() if parameter.device.type == "cpu" else None

    def is_unchanged(self, parameter: Tensor) -> bool:
        """On the CPU by value, since writes through `.data` or numpy count no version, and biases are small. Elsewhere
        that would have the CPU wait for the device.
        """
        if parameter is not self.parameter or (parameter.data_ptr(), parameter._version) != self.version:
            return False
        return self.copy is None or torch.equal(parameter, self.copy)


@dataclass(frozen=True)
class _Kept:
    """A bias, and what it was computed from. windows: None where it is the same for all."""

    windows: Windows | None
    parameters: tuple[_Seen, ...]
    bias: Tensor

    def holds(self, windows: Windows | None, parameters: Sequence[Tensor]) -> bool:
        return self.windows == windows and all(
            seen.is_unchanged(parameter) for seen, parameter in zip(self.parameters, parameters, strict=True)
        )


class PositionBias(nn.Module):
    """The bias for a map's windows, with what separates positions that a shift has brought together.

    Outside of training it is computed once per size of map and kept until the size or a parameter changes; it is no
    part of the state, and is not copied to another device but computed there. Where gradients are recorded it is
    computed anew, since they pass through it. On an accelerator, writes to a parameter's `.data` in place go unseen:
    call `eval()` after them.
    """

    relative_positions: Tensor
    separation_weight = 1.0

    def __init__(self, window: int) -> None:
        super().__init__()
        self.window = window
        self._kept: _Kept | None = None
        self.register_buffer("relative_positions", torch.empty(window**4, dtype=torch.int64), persistent=False)
        self.reset_derived(self.relative_positions.device)

    def reset_derived(self, device: torch.device) -> None:
        """Compute what depends on the size of the windows alone."""
        self._kept = None
        if device.type == "meta":  # arithmetic there would make torch import its compiler
            self.relative_positions = torch.empty(self.window**4, dtype=torch.int64, device=device)
        else:
            self.relative_positions = relative_positions(self.window, device)

    def table(self) -> Tensor:
        """((2 window - 1)², heads): the bias of every difference of two positions."""
        raise NotImplementedError

    def forward(self, windows: Windows) -> Tensor:
        """(windows, heads, positions, positions), or (1, ...) where all windows have the same."""
        if torch.compiler.is_compiling():  # a compiled graph can't tell whether a parameter has changed
            return self.compute(windows)
        parameters = tuple(self.parameters())
        if torch.is_grad_enabled() or not parameters or not all(map(_is_watched, parameters)):
            self._kept = None
            return self.compute(windows)
        differing = windows if windows.shift else None
        kept = self._kept
        if kept is None or not kept.holds(differing, parameters):
            seen = tuple(_Seen(parameter) for parameter in parameters)
            kept = self._kept = _Kept(differing, seen, self._computed_exactly(windows))
        return kept.bias

    def _computed_exactly(self, windows: Windows) -> Tensor:
        """In the precision of the parameters, whether automatic casts are on or not; what is kept serves both."""
        device = self.relative_positions.device.type
        if not torch.amp.is_autocast_available(device):
            return self.compute(windows)
        with torch.autocast(device, enabled=False):
            return self.compute(windows)

    def compute(self, windows: Windows) -> Tensor:
        """The bias, whatever is kept."""
        n = self.window**2
        bias_1hnn = self.table()[self.relative_positions].view(n, n, -1).permute(2, 0, 1)[None]
        if not windows.shift:
            return bias_1hnn.contiguous()
        separation = windows.separation(bias_1hnn.device) * self.separation_weight
        return bias_1hnn + separation[:, None].to(bias_1hnn.dtype)

    def __getstate__(self) -> dict[str, Any]:
        """For copies and pickles, which compute their own."""
        return self.__dict__ | {"_kept": None}

    def train(self, mode: bool = True) -> Self:
        self._kept = None
        return super().train(mode)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        self._kept = None
        was_meta = self.relative_positions.is_meta
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        if was_meta and not self.relative_positions.is_meta:  # `to_empty`, which leaves them without values
            self.reset_derived(self.relative_positions.device)
        return self


def _is_watched(parameter: Tensor) -> bool:
    """Whether changes of a parameter can be told: not in inference mode, and not where a transform of torch.func has
    put something else in its place. (A replica of DataParallel has no parameters at all.)
    """
    return isinstance(parameter, nn.Parameter) and not parameter.is_inference()


class RelativePositionBias(PositionBias):
    """A learned bias per difference of positions and head (Swin, equation 4)."""

    def __init__(self, window: int, heads: int) -> None:
        super().__init__(window)
        self.weight = nn.Parameter(torch.empty((2 * window - 1) ** 2, heads))

    def table(self) -> Tensor:
        return self.weight


class ContinuousPositionBias(PositionBias):
    """A network of two layers from the logarithm of a difference to the bias of each head (Swin V2, equations 3 and
    4).

    Differences are counted in windows that the network was trained with, so that it carries over to larger ones. The
    bias of a head lies between 0 and 16.
    """

    differences: Tensor
    separation_weight = 2.0
    """The reference adds it twice. Cosines are multiplied by up to 100, so that once would not separate for sure."""

    def __init__(self, window: int, pretrained_window: int, heads: int) -> None:
        self.pretrained_window = pretrained_window or window
        super().__init__(window)
        self.fc1 = nn.Linear(2, 512)
        self.fc2 = nn.Linear(512, heads, bias=False)

    def reset_derived(self, device: torch.device) -> None:
        super().reset_derived(device)
        shape = ((2 * self.window - 1) ** 2, 2)
        made = torch.empty(shape, device=device) if device.type == "meta" else self._differences(device)
        self.register_buffer("differences", made, persistent=False)

    def table(self) -> Tensor:
        differences = self.differences.to(self.fc1.weight.dtype)
        return 16 * torch.sigmoid(self.fc2(F.relu(self.fc1(differences))))

    def _differences(self, device: torch.device) -> Tensor:
        """((2 window - 1)², 2): rows and columns, sign(x) log2(1 + |x|) / log2(8) where x is 8 for a whole window."""
        along = torch.arange(1 - self.window, self.window, dtype=torch.float32, device=device)
        x = along / max(self.pretrained_window - 1, 1) * 8
        x = x.sign() * (x.abs() + 1).log2() / math.log2(8)
        return torch.stack(torch.meshgrid(x, x, indexing="ij"), dim=-1).flatten(0, 1)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        super()._apply(fn, recurse)
        if self.differences.dtype != torch.float32:  # a cast of the model would lose precision for good
            self.reset_derived(self.differences.device)
        return self
