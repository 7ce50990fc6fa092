"""The Vision Transformer (ViT; Dosovitskiy et al., 2020, arXiv:2010.11929) and what others made of it: a distillation
token (DeiT; Touvron et al., 2020, arXiv:2012.12877), layer scale, SwiGLU and masked patches (DINOv2; Oquab et al.,
2023, arXiv:2304.07193), and registers (Darcet et al., 2023, arXiv:2309.16588).

Shapes: b batch, l tokens, h rows and w columns of patches, d channels, a heads, c channels per head.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.errors import InvalidInput
from zoo.interfaces.features import Features
from zoo.interfaces.model import Model
from zoo.nn.attention import Attention, AttentionNeed
from zoo.nn.by_rows import by_rows
from zoo.nn.drop_path import DropPath
from zoo.nn.initialisation import init_linear_and_norms
from zoo.nn.recompute import run_layer
from zoo_vit.config import Transformer

__all__ = ["VisionTransformer"]

ACTIVATIONS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "gelu": F.gelu,
    "gelu_new": lambda x: F.gelu(x, approximate="tanh"),
    "gelu_pytorch_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "relu": F.relu,
    "selu": F.selu,
    "silu": F.silu,
    "tanh": torch.tanh,
}


class Embedding(nn.Module):
    """Patches to vectors with learned positions, behind a class token and what else stands before them."""

    def __init__(self, config: Transformer) -> None:
        super().__init__()
        d, (rows, columns) = config.hidden_size, config.grid
        self.patch, self.grid = config.patch, config.grid
        self.positioned_prefix = config.positioned_prefix
        self.in_float32, self.antialias = config.positions_in_float32, config.positions_antialiased
        self.projection = nn.Conv2d(config.num_channels, d, self.patch, stride=self.patch)
        self.class_token = nn.Parameter(torch.empty(1, 1, d))
        self.distillation_token = nn.Parameter(torch.empty(1, 1, d)) if config.distillation_token else None
        self.register_tokens = nn.Parameter(torch.empty(1, config.registers, d)) if config.registers else None
        self.mask_token = nn.Parameter(torch.empty(1, d)) if config.mask_token else None
        self.position_embeddings = nn.Parameter(torch.empty(1, self.positioned_prefix + rows * columns, d))
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, pixel_values: Tensor, masked_patches: Tensor | None) -> tuple[Tensor, tuple[int, int]]:
        """pixel_values: (b, channels, height, width) -> (b, l, d), and rows and columns of patches. What is left of an
        image beside whole patches is not seen.
        """
        x_bdhw = self.projection(pixel_values)
        grid = (x_bdhw.shape[2], x_bdhw.shape[3])
        patches_bld = x_bdhw.flatten(2).transpose(1, 2)
        if masked_patches is not None:
            patches_bld = torch.where(masked_patches[:, :, None], self._mask(), patches_bld)
        patches_bld = patches_bld + self._positions(*grid)
        prefix_1ld: Tensor = self.class_token
        if self.distillation_token is not None:
            prefix_1ld = torch.cat([prefix_1ld, self.distillation_token], dim=1)
        prefix_1ld = prefix_1ld + self.position_embeddings[:, : self.positioned_prefix]
        if self.register_tokens is not None:
            prefix_1ld = torch.cat([prefix_1ld, self.register_tokens], dim=1)
        tokens_bld = torch.cat([prefix_1ld.expand(patches_bld.shape[0], -1, -1), patches_bld], dim=1)
        return self.dropout(tokens_bld), grid

    def _mask(self) -> Tensor:
        if self.mask_token is None:
            raise InvalidInput("masked_patches: this model has no mask token (`use_mask_token` in its configuration).")
        return self.mask_token

    def _positions(self, rows: int, columns: int) -> Tensor:
        """(1, rows * columns, d): interpolated where the image is of another size than the network was made for."""
        learned = self.position_embeddings[:, self.positioned_prefix :]
        if (rows, columns) == self.grid:
            return learned
        map_1dhw = learned.view(1, *self.grid, -1).permute(0, 3, 1, 2)
        if self.in_float32:
            map_1dhw = map_1dhw.float()
        resized = F.interpolate(
            map_1dhw, (rows, columns), mode="bicubic", align_corners=False, antialias=self.antialias
        )
        return resized.to(learned.dtype).flatten(2).transpose(1, 2)


class SelfAttention(Attention):
    """Every token attends to every token, in several heads."""

    def __init__(self, config: Transformer) -> None:
        super().__init__()
        d = config.hidden_size
        self.num_heads, self.head_dim = config.num_attention_heads, d // config.num_attention_heads
        self.q_proj = nn.Linear(d, d, bias=config.qkv_bias)
        self.k_proj = nn.Linear(d, d, bias=config.qkv_bias)
        self.v_proj = nn.Linear(d, d, bias=config.qkv_bias)
        self.o_proj = nn.Linear(d, d)
        self.dropout = config.attention_probs_dropout_prob

    def attention_need(self) -> AttentionNeed:
        weight = self.q_proj.weight
        return AttentionNeed(
            head_dim=self.head_dim,
            num_heads=self.num_heads,
            num_key_value_heads=self.num_heads,
            causal=False,
            device=weight.device,
            dtype=weight.dtype,
        )

    def forward(self, x_bld: Tensor) -> Tensor:
        q, k, v = (self._heads(project(x_bld)) for project in (self.q_proj, self.k_proj, self.v_proj))
        if self.training and self.dropout:  # no backend drops
            attended_balc = F.scaled_dot_product_attention(q, k, v, dropout_p=self.dropout)
        else:
            attended_balc = self.attend(q, k, v)
        return self.o_proj(attended_balc.transpose(1, 2).flatten(2))

    def _heads(self, x_bld: Tensor) -> Tensor:
        """(b, l, d) -> (b, a, l, c)."""
        return x_bld.view(*x_bld.shape[:2], self.num_heads, self.head_dim).transpose(1, 2)


class MLP(nn.Module):
    """The feed-forward network of a block."""

    def __init__(self, config: Transformer) -> None:
        super().__init__()
        self.hidden = config.mlp_channels
        self.fc1 = nn.Linear(config.hidden_size, self.hidden)
        self.fc2 = nn.Linear(self.hidden, config.hidden_size)
        self.activation = ACTIVATIONS[config.hidden_act]

    def forward(self, x: Tensor) -> Tensor:
        return by_rows(self._whole, x, self.hidden)

    def _whole(self, x: Tensor) -> Tensor:
        return self.fc2(self.activation(self.fc1(x)))


class SwiGLU(nn.Module):
    """A feed-forward network whose inside is gated (Shazeer, 2020)."""

    def __init__(self, config: Transformer) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(config.hidden_size, config.mlp_channels)
        self.up_proj = nn.Linear(config.hidden_size, config.mlp_channels)
        self.down_proj = nn.Linear(config.mlp_channels, config.hidden_size)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class LayerScale(nn.Module):
    """A learned factor per channel of a residual branch (CaiT; Touvron et al., 2021).

    initial: what the factors are before training.
    """

    def __init__(self, channels: int, initial: float) -> None:
        super().__init__()
        self.initial = initial
        self.weight = nn.Parameter(torch.empty(channels))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight


class Block(nn.Module):
    """Attention and a feed-forward network, each on normalised input and added to it (ViT, equations 2 and 3)."""

    def __init__(self, config: Transformer, drop_path: float) -> None:
        super().__init__()
        d = config.hidden_size
        self.norm1 = nn.LayerNorm(d, eps=config.layer_norm_eps)
        self.attention = SelfAttention(config)
        self.norm2 = nn.LayerNorm(d, eps=config.layer_norm_eps)
        self.mlp = SwiGLU(config) if config.gated_mlp else MLP(config)
        scale = config.layer_scale
        self.layer_scale1 = nn.Identity() if scale is None else LayerScale(d, scale)
        self.layer_scale2 = nn.Identity() if scale is None else LayerScale(d, scale)
        self.dropout = nn.Dropout(config.residual_dropout)
        self.drop_path = DropPath(drop_path)

    def forward(self, x_bld: Tensor) -> Tensor:
        x_bld = x_bld + self.drop_path(self.layer_scale1(self.dropout(self.attention(self.norm1(x_bld)))))
        return x_bld + self.drop_path(self.layer_scale2(self.dropout(self.mlp(self.norm2(x_bld)))))


class Pooler(nn.Module):
    """A linear map of the class token with an activation behind it, as in BERT."""

    def __init__(self, channels: int, pooled: int, activation: str) -> None:
        super().__init__()
        self.dense = nn.Linear(channels, pooled)
        self.activation = ACTIVATIONS[activation]

    def forward(self, vector_bd: Tensor) -> Tensor:
        return self.activation(self.dense(vector_bd))


class VisionTransformer(Model):
    """Images of any size to tokens: first the class token, then what else stands before the patches, then those."""

    config: Transformer
    gradient_checkpointing = False
    """In training, compute the inside of every block again in the backward pass rather than keep it."""

    def __init__(self, config: Transformer) -> None:
        super().__init__(config)
        self.embedding = Embedding(config)
        self.layers = nn.ModuleList(Block(config, rate) for rate in config.drop_path_rates())
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.pooler = None if config.pooling is None else Pooler(config.hidden_size, *config.pooling)

    def forward(
        self, pixel_values: Tensor, *, masked_patches: Tensor | None = None, hidden_states: bool = False
    ) -> Features:
        """pixel_values: (b, num_channels, height, width), normalised, of any size; what is left beside whole patches
        is not seen.

        masked_patches: (b, h * w), True where the mask token takes the place of a patch, for a model that has one.
        tokens: (b, prefix + h * w, d) and vector: (b, d), the class token, both after the last norm; grid: (h, w).
        extras: "pooled" of a model with a pooler; with `hidden_states`, under this name, what goes into the first
        block and comes out of each, not normalised, (b, prefix + h * w, d) each.
        """
        self._check(pixel_values)
        x_bld, grid = self.embedding(pixel_values, masked_patches)
        states = [x_bld]
        for layer in self.layers:
            x_bld = run_layer(layer, x_bld, recompute=self.gradient_checkpointing)
            if hidden_states:
                states.append(x_bld)
        tokens = self.norm(x_bld)
        extras: dict[str, object] = {"hidden_states": tuple(states)} if hidden_states else {}
        if self.pooler is not None:
            extras["pooled"] = self.pooler(tokens[:, 0])
        return Features(tokens=tokens, vector=tokens[:, 0], grid=grid, extras=extras)

    def _check(self, pixel_values: Tensor) -> None:
        if pixel_values.ndim != 4 or pixel_values.shape[1] != self.config.num_channels:
            raise InvalidInput(
                f"pixel_values: expected (batch, {self.config.num_channels}, height, width), "
                f"found {tuple(pixel_values.shape)}."
            )
        # Rows and columns are part of what is returned, so each size of image gets a graph of its own when compiled.
        # The batch may still be of any size.
        patch = self.config.patch
        if min(operator.index(size) for size in pixel_values.shape[2:]) < patch:
            raise InvalidInput(
                f"pixel_values: images of at least {patch} x {patch} pixels, a patch, were expected, "
                f"found {pixel_values.shape[2]} x {pixel_values.shape[3]}."
            )

    def init_weights(self, generator: torch.Generator) -> None:
        std = self.config.initializer_range
        init_linear_and_norms(self, std, generator)
        for module in self.modules():
            if isinstance(module, LayerScale):
                nn.init.constant_(module.weight, module.initial)
        embedding = self.embedding
        nn.init.trunc_normal_(embedding.position_embeddings, std=std, generator=generator)
        for token in (embedding.class_token, embedding.distillation_token, embedding.register_tokens):
            if token is not None:
                nn.init.trunc_normal_(token, std=std, generator=generator)
        if embedding.mask_token is not None:
            nn.init.zeros_(embedding.mask_token)
