"""Llama (Touvron et al., 2023, arXiv:2302.13971; Llama 3, 2024, arXiv:2407.21783), as the paper has it.

Shapes: b batch, l new positions, d hidden size, h heads, k key-value heads, c channels per head, f feed-forward size.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.interfaces.cache import Cache, CacheSpec, LayerCache, LayerCacheSpec
from zoo.interfaces.features import Features
from zoo.interfaces.model import Model
from zoo.nn.attention import Attention, AttentionNeed, causal_attention_mask
from zoo.nn.norm import RMSNorm
from zoo.nn.rotary import RotaryEmbedding, RotaryParameters, rotate
from zoo_llama.config import LlamaConfig

__all__ = ["Llama"]

ACTIVATIONS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "silu": F.silu,
    "relu": F.relu,
    "gelu": F.gelu,
    "gelu_pytorch_tanh": lambda x: F.gelu(x, approximate="tanh"),
}

Rotation = tuple[Tensor, Tensor]


class LlamaAttention(Attention):
    """Causal self-attention with grouped key-value heads (Ainslie et al., 2023) and rotary positions."""

    def __init__(self, config: LlamaConfig) -> None:
        super().__init__()
        self.num_heads, self.num_key_value_heads = config.num_attention_heads, config.key_value_heads
        self.head_dim = config.head_width
        d, bias = config.hidden_size, config.attention_bias
        self.q_proj = nn.Linear(d, self.num_heads * self.head_dim, bias=bias)
        self.k_proj = nn.Linear(d, self.num_key_value_heads * self.head_dim, bias=bias)
        self.v_proj = nn.Linear(d, self.num_key_value_heads * self.head_dim, bias=bias)
        self.o_proj = nn.Linear(self.num_heads * self.head_dim, d, bias=bias)

    def attention_need(self) -> AttentionNeed:
        weight = self.q_proj.weight
        return AttentionNeed(
            head_dim=self.head_dim,
            num_heads=self.num_heads,
            num_key_value_heads=self.num_key_value_heads,
            causal=True,
            device=weight.device,
            dtype=weight.dtype,
        )

    def forward(
        self, x_bld: Tensor, rotation: Rotation, mask: Tensor | None, causal: bool, cache: LayerCache | None
    ) -> Tensor:
        """mask: boolean, (b, 1, l, positions so far), or None; cache: this layer's, which gets the new keys and
        values.
        """
        b, length, _ = x_bld.shape
        q_bhlc = self.q_proj(x_bld).view(b, length, self.num_heads, self.head_dim).transpose(1, 2)
        k_bklc = self.k_proj(x_bld).view(b, length, self.num_key_value_heads, self.head_dim).transpose(1, 2)
        v_bklc = self.v_proj(x_bld).view(b, length, self.num_key_value_heads, self.head_dim).transpose(1, 2)
        q_bhlc, k_bklc = rotate(q_bhlc, *rotation), rotate(k_bklc, *rotation)
        if cache is not None:
            k_bklc, v_bklc = cache.append(k_bklc, v_bklc)
        attended_bhlc = self.attend(q_bhlc, k_bklc, v_bklc, mask, causal=causal)
        return self.o_proj(attended_bhlc.transpose(1, 2).reshape(b, length, -1))


class LlamaMLP(nn.Module):
    """Gated feed-forward network, SwiGLU when the activation is silu (Shazeer, 2020)."""

    def __init__(self, config: LlamaConfig) -> None:
        super().__init__()
        d, f, bias = config.hidden_size, config.intermediate_size, config.mlp_bias
        self.gate_proj = nn.Linear(d, f, bias=bias)
        self.up_proj = nn.Linear(d, f, bias=bias)
        self.down_proj = nn.Linear(f, d, bias=bias)
        self.activation = ACTIVATIONS[config.hidden_act]

    def forward(self, x_bld: Tensor) -> Tensor:
        return self.down_proj(self.activation(self.gate_proj(x_bld)) * self.up_proj(x_bld))


class LlamaLayer(nn.Module):
    """Attention and feed-forward network, each on normalised input and added to it."""

    def __init__(self, config: LlamaConfig) -> None:
        super().__init__()
        self.input_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.self_attn = LlamaAttention(config)
        self.post_attention_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.mlp = LlamaMLP(config)

    def forward(
        self, x_bld: Tensor, rotation: Rotation, mask: Tensor | None, causal: bool, cache: LayerCache | None
    ) -> Tensor:
        x_bld = x_bld + self.self_attn(self.input_layernorm(x_bld), rotation, mask, causal, cache)
        return x_bld + self.mlp(self.post_attention_layernorm(x_bld))


class Llama(Model):
    """The decoder: token ids to normalised hidden states."""

    config: LlamaConfig
    shared_parameters: ClassVar[Mapping[str, str]] = {"input_embedding": "embed_tokens.weight"}

    def __init__(self, config: LlamaConfig) -> None:
        super().__init__(config)
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(LlamaLayer(config) for _ in range(config.num_hidden_layers))
        self.norm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.rotary = RotaryEmbedding(rotary_parameters(config))

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        positions: Tensor | None = None,
        cache: Cache | None = None,
    ) -> Features:
        """input_ids: (b, l). attention_mask: (b, positions so far and new), nonzero where a token is no padding; None:
        none is.

        positions: (b, l), by default 0, 1, 2, ... after those in the cache, whatever the mask says, as in the
        reference's forward. Rotary attention sees only distances, so padding on either side changes nothing; past a
        context that "dynamic" stretches it lengthens the sequence. cache: holds the positions so far; is made longer
        by l.
        """
        new = input_ids.shape[1]
        past = cache.length if cache is not None else 0
        if positions is None:
            positions = torch.arange(past, past + new, device=input_ids.device)[None]
        x_bld = self.embed_tokens(input_ids)
        mask, causal = causal_attention_mask(attention_mask, new, past + new, input_ids.device)
        rotation = self.rotary(positions, x_bld.dtype)
        for index, layer in enumerate(self.layers):
            x_bld = layer(x_bld, rotation, mask, causal, cache.layers[index] if cache is not None else None)
        if cache is not None:
            cache.advance(new)
        real = attention_mask[:, -new:].bool() if attention_mask is not None else None
        return Features(tokens=self.norm(x_bld), mask=real, cache=cache)

    def init_weights(self, generator: torch.Generator) -> None:
        std = self.config.initializer_range
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=std, generator=generator)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif isinstance(module, nn.Embedding):
                nn.init.normal_(module.weight, std=std, generator=generator)
            elif isinstance(module, RMSNorm):
                nn.init.ones_(module.weight)

    def cache_spec(self) -> CacheSpec:
        layer = LayerCacheSpec(kind="self", num_heads=self.config.key_value_heads, head_dim=self.config.head_width)
        return CacheSpec(layers=(layer,) * self.config.num_hidden_layers)


def rotary_parameters(config: LlamaConfig) -> RotaryParameters:
    """The rotation of a configuration. "dynamic" stretches past max_position_embeddings, as the reference does."""
    rope = config.rope
    original = config.max_position_embeddings
    if rope.rope_type == "llama3" and rope.original_max_position_embeddings is not None:
        original = rope.original_max_position_embeddings
    return RotaryParameters(
        head_dim=config.head_width,
        theta=rope.rope_theta,
        scaling=rope.rope_type,
        factor=1.0 if rope.factor is None else rope.factor,
        original_max_positions=original,
        low_freq_factor=1.0 if rope.low_freq_factor is None else rope.low_freq_factor,
        high_freq_factor=4.0 if rope.high_freq_factor is None else rope.high_freq_factor,
    )
