"""The windows that attention is confined to: cutting maps into them, and which positions of one belong together."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["Windows", "relative_positions"]

SEPARATED = -100.0
"""Added to the score of two positions that the shift brought together, as the reference does."""


@dataclass(frozen=True)
class Windows:
    """How a map of `height` x `width` positions is cut into windows of `size` x `size`.

    The map is padded below and on the right to whole windows; then the windows begin `shift` positions later, so that
    what is above and left of the first ones comes last (Swin, figure 4).
    """

    height: int
    width: int
    size: int
    shift: int

    @property
    def rows(self) -> int:
        """Of windows."""
        return -(-self.height // self.size)

    @property
    def columns(self) -> int:
        """Of windows."""
        return -(-self.width // self.size)

    @property
    def padding(self) -> tuple[int, int]:
        """Rows and columns of positions that are added."""
        return self.rows * self.size - self.height, self.columns * self.size - self.width

    def cut(self, x_bhwd: Tensor) -> Tensor:
        """x_bhwd: (b, height, width, d) -> (groups, positions, windows of a group, d).

        All windows of an image are a group after a shift, since each is masked in its own way, which is then the same
        for all groups. Otherwise each is one by itself.
        """
        below, right = self.padding
        if below or right:
            x_bhwd = F.pad(x_bhwd, (0, 0, 0, right, 0, below))
        if self.shift:
            x_bhwd = x_bhwd.roll((-self.shift, -self.shift), dims=(1, 2))
        b, d = x_bhwd.shape[0], x_bhwd.shape[3]
        x = x_bhwd.view(b, self.rows, self.size, self.columns, self.size, d)
        count, n = self.rows * self.columns, self.size**2
        if self.shift:
            return x.permute(0, 2, 4, 1, 3, 5).reshape(b, n, count, d)
        return x.transpose(2, 3).reshape(b * count, n, 1, d)

    def join(self, x_gnwd: Tensor) -> Tensor:
        """The inverse: (groups, positions, windows of a group, d) -> (b, height, width, d)."""
        d = x_gnwd.shape[3]
        if self.shift:
            x = x_gnwd.view(-1, self.size, self.size, self.rows, self.columns, d).permute(0, 3, 1, 4, 2, 5)
        else:
            x = x_gnwd.view(-1, self.rows, self.columns, self.size, self.size, d).transpose(2, 3)
        x_bhwd = x.reshape(-1, self.rows * self.size, self.columns * self.size, d)
        if self.shift:
            x_bhwd = x_bhwd.roll((self.shift, self.shift), dims=(1, 2))
        below, right = self.padding
        return x_bhwd[:, : self.height, : self.width] if below or right else x_bhwd

    def separation(self, device: torch.device) -> Tensor:
        """(windows, positions, positions), float32: zero for positions that were neighbours before the shift, and
        SEPARATED for others.
        """
        rows = self._regions(self.rows * self.size, device)
        columns = self._regions(self.columns * self.size, device)
        region = (rows[:, None] * 3 + columns)[None, :, :, None]
        unpadded = Windows(region.shape[1], region.shape[2], self.size, 0)
        region_wn = unpadded.cut(region)[..., 0, 0]
        apart = region_wn[:, :, None] != region_wn[:, None, :]
        return apart.float() * SEPARATED

    def _regions(self, length: int, device: torch.device) -> Tensor:
        """For each position along an axis after the shift, which of three parts it is of: those before the last window,
        the rest, and what came from the other end.
        """
        position = torch.arange(length, device=device)
        return (position >= length - self.size).long() + (position >= length - self.shift).long()


def relative_positions(size: int, device: torch.device) -> Tensor:
    """(positions²,): for each pair of a window's positions, the row of a table of all (2 size - 1)² differences."""
    along = torch.arange(size, device=device)
    row, column = along.repeat_interleave(size), along.repeat(size)
    rows = row[:, None] - row + size - 1
    columns = column[:, None] - column + size - 1
    return (rows * (2 * size - 1) + columns).flatten()
