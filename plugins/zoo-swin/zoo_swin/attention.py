"""Self-attention within windows: scaled dot products in Swin, cosines in Swin V2.

Shapes: g groups, w windows of a group, n positions of a window, d channels, h heads, c channels per head. A group is of
windows that each have a bias of its own, the same one in every group.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.nn.attention import Attention, AttentionNeed
from zoo_swin.config import Transformer
from zoo_swin.position_bias import ContinuousPositionBias, PositionBias, RelativePositionBias
from zoo_swin.windows import Windows

__all__ = ["CosineWindowAttention", "WindowAttention"]

MAX_LOG_SCALE = math.log(1 / 0.01)
"""Cosines are multiplied by at most 100 (Swin V2, section 3.2)."""


class WindowAttention(Attention):
    """softmax(q kᵀ / sqrt(c) + bias) v within windows (Swin, equation 4)."""

    scale: float | None = None
    key_bias = True
    position_bias: PositionBias

    def __init__(self, config: Transformer, channels: int, heads: int, window: int, pretrained_window: int = 0) -> None:
        super().__init__()
        self.num_heads, self.head_dim = heads, channels // heads
        self.q_proj = nn.Linear(channels, channels, bias=config.qkv_bias)
        self.k_proj = nn.Linear(channels, channels, bias=config.qkv_bias and self.key_bias)
        self.v_proj = nn.Linear(channels, channels, bias=config.qkv_bias)
        self.o_proj = nn.Linear(channels, channels)
        self.position_bias = self.make_position_bias(window, pretrained_window)
        self.dropout = config.attention_probs_dropout_prob

    def make_position_bias(self, window: int, pretrained_window: int) -> PositionBias:
        """The bias of this kind of attention."""
        return RelativePositionBias(window, self.num_heads)

    def attention_need(self) -> AttentionNeed:
        weight = self.q_proj.weight
        return AttentionNeed(
            head_dim=self.head_dim,
            num_heads=self.num_heads,
            num_key_value_heads=self.num_heads,
            causal=False,
            bias=True,
            device=weight.device,
            dtype=weight.dtype,
        )

    def forward(self, x_gnwd: Tensor, windows: Windows) -> Tensor:
        """x_gnwd: (g, n, w, d), as `windows` cuts a map."""
        q, k = self.compared(self._heads(self.q_proj(x_gnwd)), self._heads(self.k_proj(x_gnwd)))
        v = self._heads(self.v_proj(x_gnwd))
        # To a backend, every window of a group is a head. Nothing is copied for that, nor is the bias repeated.
        q, k, v = (x.flatten(2, 3).transpose(1, 2) for x in (q, k, v))
        bias = self.position_bias(windows).flatten(0, 1)[None]
        return self.o_proj(self._attend(q, k, v, bias).transpose(1, 2).reshape(x_gnwd.shape))

    def compared(self, q: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
        """q, k: (g, n, w, h, c), as their products are to be taken."""
        return q, k

    def _heads(self, x_gnwd: Tensor) -> Tensor:
        """(g, n, w, h, c)"""
        return x_gnwd.view(*x_gnwd.shape[:-1], self.num_heads, self.head_dim)

    def _attend(self, q: Tensor, k: Tensor, v: Tensor, bias: Tensor) -> Tensor:
        if self.training and self.dropout:  # no backend drops
            return F.scaled_dot_product_attention(q, k, v, bias, dropout_p=self.dropout, scale=self.scale)
        return self.attend(q, k, v, bias, scale=self.scale)


class CosineWindowAttention(WindowAttention):
    """softmax(cos(q, k) / τ + bias) v within windows, with a learned temperature per head (Swin V2, equation 2)."""

    scale = 1.0
    key_bias = False

    def __init__(self, config: Transformer, channels: int, heads: int, window: int, pretrained_window: int = 0) -> None:
        super().__init__(config, channels, heads, window, pretrained_window)
        self.logit_scale = nn.Parameter(torch.empty(heads, 1, 1))

    def make_position_bias(self, window: int, pretrained_window: int) -> PositionBias:
        return ContinuousPositionBias(window, pretrained_window, self.num_heads)

    def compared(self, q: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
        scale_h1 = self.logit_scale.clamp(max=MAX_LOG_SCALE).exp()[:, 0]
        return F.normalize(q, dim=-1) * scale_h1, F.normalize(k, dim=-1)
