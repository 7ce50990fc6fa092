"""A small decoder and a tokenizer of bytes, made for these tests, so that they check the loop and no model of zoo's."""

from __future__ import annotations

import codecs
import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.interfaces.cache import Cache, CacheSpec, LayerCacheSpec
from zoo.interfaces.config import TypedConfig
from zoo.interfaces.feature_spec import FeatureSpec
from zoo.interfaces.features import Features
from zoo.interfaces.model import Model
from zoo.interfaces.origin import Origin
from zoo.tasks.head_configs import CausalLMHeadConfig
from zoo.tasks.text_generation import CausalLanguageModel, CausalLMHead

EOS, END_OF_TURN, PAD = 256, 257, 258


@dataclass(frozen=True, kw_only=True)
class TinyConfig(TypedConfig):
    vocab_size: int = 260
    width: int = 16
    heads: int = 2
    layers: int = 2
    max_position_embeddings: int = 600

    def feature_specs(self) -> tuple[FeatureSpec, ...]:
        return (FeatureSpec(name="hidden", channels=self.width, kind="tokens", modality="text", causal=True),)


class TinyDecoder(Model):
    """Attention over learned positions; everything that a cache can get wrong shows in its output."""

    config: TinyConfig

    def __init__(self, config: TinyConfig) -> None:
        super().__init__(config)
        width = config.width
        self.tokens = nn.Embedding(config.vocab_size, width)
        self.places = nn.Embedding(config.max_position_embeddings, width)
        self.qkv = nn.ModuleList(nn.Linear(width, 3 * width) for _ in range(config.layers))
        self.out = nn.ModuleList(nn.Linear(width, width) for _ in range(config.layers))

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        positions: Tensor | None = None,
        cache: Cache | None = None,
    ) -> Features:
        past = cache.length if cache is not None else 0
        batch, new = input_ids.shape
        if positions is None:
            positions = torch.arange(past, past + new).expand(batch, new)
        x = self.tokens(input_ids) + self.places(positions)
        visible = torch.ones(new, past + new, dtype=torch.bool).tril(past)[None, None]
        if attention_mask is not None:
            assert attention_mask.shape == (batch, past + new)
            visible = visible & attention_mask.bool()[:, None, None, :]
        for index, (qkv, out) in enumerate(zip(self.qkv, self.out, strict=True)):
            q, k, v = qkv(x).view(batch, new, 3, self.config.heads, -1).permute(2, 0, 3, 1, 4)
            if cache is not None:
                k, v = cache.layers[index].append(k, v)
            scores = (q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5).masked_fill(~visible, -1e30)
            x = F.layer_norm(x + out((scores.softmax(-1) @ v).transpose(1, 2).flatten(2)), x.shape[-1:])
        if cache is not None:
            cache.advance(new)
        return Features(tokens=x, cache=cache)

    def cache_spec(self) -> CacheSpec:
        layer = LayerCacheSpec(
            kind="self", num_heads=self.config.heads, head_dim=self.config.width // self.config.heads
        )
        return CacheSpec(layers=(layer,) * self.config.layers)


class ByteCodec:
    """Token 0..255 is that byte; then the end of text, the end of a turn, padding."""

    eos_token_id = EOS
    pad_token_id = PAD
    special_token_ids = frozenset({EOS, END_OF_TURN, PAD})

    def end_of_turn_ids(self) -> tuple[int, ...]:
        return (END_OF_TURN,)

    def encode(self, text: str, *, add_special_tokens: bool = True) -> list[int]:
        return [END_OF_TURN] if text == "<end>" else list(text.encode())

    def stream_decoder(self) -> ByteDecoder:
        return ByteDecoder()


class ByteDecoder:
    def __init__(self) -> None:
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")

    def push(self, token_id: int) -> str:
        return self._utf8.decode(bytes([token_id])) if token_id < 256 else ""

    def finish(self) -> str:
        return self._utf8.decode(b"", final=True)


class Scripted(Model):
    """Whatever the prompt, says the script, token by token, then the end of text."""

    def __init__(self, script: list[int], config: TinyConfig) -> None:
        super().__init__(config)
        self.script = nn.Parameter(torch.tensor([*script, EOS], dtype=torch.float32), requires_grad=False)
        self.steps = 0

    def forward(
        self, input_ids: Tensor, attention_mask: Any = None, positions: Any = None, cache: Cache | None = None
    ) -> Features:
        assert cache is not None
        said = 0 if cache.length == 0 else self.steps
        self.steps = said + 1
        cache.advance(input_ids.shape[1])
        token = int(self.script[min(said, len(self.script) - 1)])
        hidden = F.one_hot(torch.full_like(input_ids, token), self.config.vocab_size).float()
        return Features(tokens=hidden, cache=cache)

    def cache_spec(self) -> CacheSpec:
        return CacheSpec(layers=())


def _with_head(backbone: Model, width: int, weight: Tensor, generation_config: dict[str, Any]) -> CausalLanguageModel:
    config = backbone.config
    spec = dataclasses.replace(config.feature_specs()[0], channels=width)
    head = CausalLMHead((spec,), CausalLMHeadConfig(vocab_size=config.vocab_size))
    with torch.no_grad():
        head.weight.copy_(weight)
    model = CausalLanguageModel(backbone, head).eval()
    model.origin = Origin(architecture="tests:tiny", generation_config=generation_config)
    return model


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Threads cost such small models more than they give."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def tiny() -> Callable[..., CausalLanguageModel]:
    """Makes a causal language model with random weights. generation_config: as in the file; config: TinyConfig's."""

    def make(generation_config: dict[str, Any] | None = None, *, seed: int = 0, **config: Any) -> CausalLanguageModel:
        torch.manual_seed(seed)
        backbone = TinyDecoder(TinyConfig(**config))
        width = backbone.config.width
        return _with_head(backbone, width, torch.randn(backbone.config.vocab_size, width), generation_config or {})

    return make


@pytest.fixture
def scripted() -> Callable[..., CausalLanguageModel]:
    """Makes a model that says the given text (or token ids), then ends it."""

    def make(
        script: str | list[int], generation_config: dict[str, Any] | None = None, **config: Any
    ) -> CausalLanguageModel:
        ids = list(script.encode()) if isinstance(script, str) else script
        backbone = Scripted(ids, TinyConfig(**config))
        size = backbone.config.vocab_size
        return _with_head(backbone, size, torch.eye(size), generation_config or {})

    return make


@pytest.fixture
def codec() -> ByteCodec:
    return ByteCodec()
