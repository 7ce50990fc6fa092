from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from zoo.interfaces.features import Features
from zoo.interfaces.model import Model
from zoo.nn.attention import Attention, AttentionNeed
from zoo_patches.config import PatchesConfig


class Block(Attention):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.q = nn.Linear(width, width, bias=False)
        self.k = nn.Linear(width, width, bias=False)
        self.v = nn.Linear(width, width, bias=False)
        self.out = nn.Linear(width, width, bias=False)

    def attention_need(self) -> AttentionNeed:
        weight = self.q.weight
        return AttentionNeed(
            head_dim=weight.shape[0],
            num_heads=1,
            num_key_value_heads=1,
            causal=False,
            device=weight.device,
            dtype=weight.dtype,
        )

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(x)
        q, k, v = (part(y)[:, None] for part in (self.q, self.k, self.v))
        attended = self.attend(q, k, v)[:, 0]
        return x + F.gelu(self.out(attended))


class Patches(Model):
    config: PatchesConfig
    gradient_checkpointing = False

    def __init__(self, config: PatchesConfig) -> None:
        super().__init__(config)
        width = config.width
        self.embedding = nn.Conv2d(3, width, config.patch_size, stride=config.patch_size)
        self.first = nn.Parameter(torch.empty(1, 1, width))
        self.blocks = nn.ModuleList(Block(width) for _ in range(config.depth))
        self.register_buffer("ramp", torch.empty(width), persistent=False)
        self.gain = 1.0

    def reset_derived(self, device: torch.device) -> None:
        self.ramp = torch.linspace(0, self.config.slope, self.config.width, device=device)

    def forward(self, pixel_values: Tensor) -> Features:
        embedded = self.embedding(pixel_values)
        grid = tuple(embedded.shape[2:])
        first = self.first.expand(embedded.shape[0], -1, -1)
        x = torch.cat([first, embedded.flatten(2).transpose(1, 2)], dim=1)
        x = x + self.ramp.to(x)
        for block in self.blocks:
            x = self.run(block, x)
        tokens = x * self.gain
        places = tokens[:, 1:].transpose(1, 2).unflatten(2, grid)
        return Features(maps=(places,), tokens=tokens, vector=tokens[:, 0], grid=grid)

    def run(self, block: nn.Module, x: Tensor) -> Tensor:
        if self.gradient_checkpointing and self.training and torch.is_grad_enabled():
            return checkpoint(block, x, use_reentrant=False)
        return block(x)

    def init_weights(self, generator: torch.Generator) -> None:
        for parameter in self.parameters():
            nn.init.normal_(parameter, std=0.2, generator=generator)
