"""Self-attention within windows: scaled dot products in Swin, cosines in Swin V2.

Shapes: b batch, w windows of a map, n positions of a window, d channels, h heads, c channels per head.
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

    def forward(self, x_wnd: Tensor, windows: Windows) -> Tensor:
        """x_wnd: (b x w, n, d), as `windows` cuts a map."""
        q, k = self.compared(self._heads(self.q_proj(x_wnd)), self._heads(self.k_proj(x_wnd)))
        v = self._heads(self.v_proj(x_wnd))
        bias_whnn = self.position_bias(windows)
        if not windows.shift:
            attended = self._attend(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), bias_whnn)
            return self.o_proj(attended.transpose(1, 2).flatten(2))
        # Each window has a bias of its own, the same one for all images: windows and heads become one dimension, over
        # which the bias need not be repeated for every image.
        count = windows.rows * windows.columns
        q, k, v = (x.view(-1, count, *x.shape[1:]).transpose(2, 3).flatten(1, 2) for x in (q, k, v))
        attended = self._attend(q, k, v, bias_whnn.flatten(0, 1)[None])
        return self.o_proj(
            attended.reshape(-1, count, self.num_heads, *attended.shape[2:]).transpose(2, 3).flatten(0, 1).flatten(2)
        )

    def compared(self, q: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
        """q, k: (b x w, n, h, c), as their products are to be taken."""
        return q, k

    def _heads(self, x_wnd: Tensor) -> Tensor:
        return x_wnd.view(*x_wnd.shape[:-1], self.num_heads, self.head_dim)

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
