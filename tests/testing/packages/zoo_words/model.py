from __future__ import annotations

import torch
from torch import Tensor, nn

from zoo.interfaces.cache import CacheSpec, LayerCacheSpec
from zoo.interfaces.features import Features
from zoo.interfaces.model import Model
from zoo.nn.attention import Attention, AttentionNeed, causal_attention_mask


class SelfAttention(Attention):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.q = nn.Linear(width, width, bias=False)
        self.k = nn.Linear(width, width, bias=False)
        self.v = nn.Linear(width, width, bias=False)

    def attention_need(self) -> AttentionNeed:
        weight = self.q.weight
        return AttentionNeed(
            head_dim=weight.shape[0],
            num_heads=1,
            num_key_value_heads=1,
            causal=True,
            device=weight.device,
            dtype=weight.dtype,
        )

    def forward(self, x: Tensor, mask, causal, cache) -> Tensor:
        q, k, v = (part(x)[:, None] for part in (self.q, self.k, self.v))
        if cache is not None:
            k, v = cache.append(k, v)
        return x + self.attend(q, k, v, mask, causal=causal)[:, 0]


class Words(Model):
    def __init__(self, config) -> None:
        super().__init__(config)
        self.embedding = nn.Embedding(config.vocab_size, config.width)
        self.attention = SelfAttention(config.width)

    def forward(self, input_ids: Tensor, attention_mask=None, cache=None) -> Features:
        new = input_ids.shape[1]
        past = cache.length if cache is not None else 0
        x = self.embedding(input_ids)
        mask, causal = causal_attention_mask(attention_mask, new, past + new, input_ids.device)
        x = self.attention(x, mask, causal, cache.layers[0] if cache is not None else None)
        if cache is not None:
            cache.advance(new)
        return Features(tokens=x, cache=cache)

    def init_weights(self, generator: torch.Generator) -> None:
        for parameter in self.parameters():
            nn.init.normal_(parameter, std=0.5, generator=generator)

    def cache_spec(self) -> CacheSpec:
        return CacheSpec(layers=(LayerCacheSpec(kind="self", num_heads=1, head_dim=self.config.width),))
