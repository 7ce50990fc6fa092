"""The configuration of Llama, with the Hub's key names. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from zoo.errors import ConfigError
from zoo.interfaces import FeatureSpec, TypedConfig, shown

__all__ = ["ROPE_KEYS", "LlamaConfig", "RopeConfig"]

MAX_LAYERS = 1000
"""More than any Llama has; a file that says more is refused rather than built for hours."""

MAX_SIZE = 2**31 - 1
"""More than any dimension or length of a Llama; what is larger overflows the sizes of tensors."""

MAX_HEAD_WIDTH = 2**16
"""More channels than any head has; the rotary frequencies are computed one by one."""

MAX_STRETCH = 2**20
"""More than any context is stretched; its powers would leave the range of floats."""

ROPE_KEYS = ("rope_parameters", "rope_scaling", "rope_theta")
"""The keys of config.json that RopeConfig is read from, in all spellings."""


@dataclass(frozen=True, kw_only=True)
class RopeConfig(TypedConfig):
    """Rotary position embedding: `rope_parameters` of config.json, or in the old spelling `rope_theta` beside
    `rope_scaling`.

    factor: how many times the context is stretched; None for "default". The last three belong to "llama3".
    """

    hub_names: ClassVar[Mapping[str, tuple[str, ...]]] = {"rope_type": ("rope_type", "type")}

    rope_type: Literal["default", "linear", "dynamic", "llama3"] = "default"
    rope_theta: float = 10000.0
    factor: float | None = None
    low_freq_factor: float | None = None
    high_freq_factor: float | None = None
    original_max_position_embeddings: int | None = None
    partial_rotary_factor: float | None = None

    def validate(self) -> None:
        self.require_positive("rope_theta")
        if self.partial_rotary_factor not in (None, 1.0):
            raise self.invalid(
                "partial_rotary_factor", f"{self.partial_rotary_factor} is not Llama; Llama rotates whole heads"
            )
        if self.rope_type == "default":
            return
        needed = ["factor"]
        if self.rope_type == "llama3":
            needed += ["low_freq_factor", "high_freq_factor"]
        for name in needed:
            if getattr(self, name) is None:
                raise self.invalid(name, f"is missing; rope_type '{self.rope_type}' needs it")
        if self.factor is not None and not 1 <= self.factor <= MAX_STRETCH:
            raise self.invalid("factor", f"must be at least 1 and at most {MAX_STRETCH}, found {self.factor}")
        if self.low_freq_factor is not None:
            self.require_positive("low_freq_factor")
        if self.original_max_position_embeddings is not None:
            self.require_positive("original_max_position_embeddings")
            require_size(self, "original_max_position_embeddings")
        if self.rope_type == "llama3" and not (self.low_freq_factor or 0) < (self.high_freq_factor or 0):
            raise self.invalid(
                "high_freq_factor",
                f"must be above low_freq_factor, {self.low_freq_factor}, found {self.high_freq_factor}",
            )


@dataclass(frozen=True, kw_only=True)
class LlamaConfig(TypedConfig):
    """The shape of a Llama (Touvron et al., 2023; Llama 3, 2024). Sizes in elements, lengths in tokens.

    The ids of tokens are what decoding and classification go by; early files write -1 for none.
    """

    vocab_size: int = 32000
    hidden_size: int = 4096
    intermediate_size: int = 11008
    num_hidden_layers: int = 32
    num_attention_heads: int = 32
    num_key_value_heads: int | None = None
    head_dim: int | None = None
    max_position_embeddings: int = 2048
    rms_norm_eps: float = 1e-6
    rope: RopeConfig = RopeConfig()
    hidden_act: Literal["silu", "gelu", "gelu_pytorch_tanh", "relu"] = "silu"
    attention_bias: bool = False
    mlp_bias: bool = False
    tie_word_embeddings: bool = False
    initializer_range: float = 0.02
    bos_token_id: int | None = None
    eos_token_id: int | tuple[int, ...] | None = None
    pad_token_id: int | None = None

    def validate(self) -> None:
        self.require_positive(
            "vocab_size",
            "hidden_size",
            "intermediate_size",
            "num_hidden_layers",
            "num_attention_heads",
            "max_position_embeddings",
            "rms_norm_eps",
        )
        for name in (
            "vocab_size",
            "hidden_size",
            "intermediate_size",
            "num_attention_heads",
            "max_position_embeddings",
        ):
            require_size(self, name)
        if self.num_hidden_layers > MAX_LAYERS:
            raise self.invalid("num_hidden_layers", f"must be at most {MAX_LAYERS}, found {self.num_hidden_layers}")
        if self.initializer_range < 0:
            raise self.invalid("initializer_range", f"must not be negative, found {self.initializer_range}")
        if self.head_dim is None and self.hidden_size % self.num_attention_heads:
            raise self.invalid(
                "hidden_size",
                f"{self.hidden_size} is not a multiple of num_attention_heads, {self.num_attention_heads}",
            )
        for name in ("num_key_value_heads", "head_dim"):
            if getattr(self, name) is not None:
                self.require_positive(name)
                require_size(self, name)
        if self.num_attention_heads % self.key_value_heads:
            raise self.invalid(
                "num_key_value_heads",
                f"{self.key_value_heads} does not divide num_attention_heads, {self.num_attention_heads}",
            )
        if self.head_width > MAX_HEAD_WIDTH:
            raise self.invalid("head_dim", f"must be at most {MAX_HEAD_WIDTH}, found {self.head_width}")
        if self.head_width % 2:
            raise self.invalid("head_dim", f"must be even for the rotary embedding, found {self.head_width}")
        if self.head_width == 2 and self.rope.rope_type == "dynamic":
            raise self.invalid("head_dim", "must be above 2 for the rotary scaling 'dynamic', found 2")
        for name in ("bos_token_id", "eos_token_id", "pad_token_id"):
            ids = getattr(self, name)
            if min(ids, default=0) < 0 if isinstance(ids, tuple) else (ids or 0) < -1:
                raise self.invalid(name, f"token ids are not negative, found {ids}")

    @property
    def key_value_heads(self) -> int:
        """Heads of keys and values; as many as of queries unless the file says otherwise."""
        return self.num_key_value_heads or self.num_attention_heads

    @property
    def head_width(self) -> int:
        """Channels per head."""
        return self.head_dim or self.hidden_size // self.num_attention_heads

    def feature_specs(self) -> tuple[FeatureSpec, ...]:
        """One: the hidden states after the last norm."""
        return (
            FeatureSpec(name="hidden_states", channels=self.hidden_size, kind="tokens", modality="text", causal=True),
        )

    @classmethod
    def read_hub(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        return super().read_hub(values) | {"rope": _read_rope(values)}

    def write_hub(self, values: dict[str, Any], names: Sequence[str]) -> None:
        super().write_hub(values, [name for name in names if name != "rope"])
        if "rope" in names:
            for key in ROPE_KEYS:
                values.pop(key, None)
            values["rope_parameters"] = self.rope.to_hub()


def require_size(config: TypedConfig, name: str) -> None:
    """Raise ConfigError when the field is more than a size or length can be."""
    if getattr(config, name) > MAX_SIZE:
        raise config.invalid(name, f"must be at most {MAX_SIZE}, found {getattr(config, name)}")


def _read_rope(values: Mapping[str, Any]) -> RopeConfig:
    """Of the new spelling (`rope_parameters`) and the old (`rope_theta` beside `rope_scaling`), the one that is
    there.
    """
    key = "rope_parameters" if values.get("rope_parameters") is not None else "rope_scaling"
    stated = values.get(key)
    if stated is None:
        stated = {}
    if not isinstance(stated, Mapping):
        raise ConfigError(f"LlamaConfig: field '{key}': expected an object or null, found {shown(stated)}.")
    if "rope_theta" not in stated and values.get("rope_theta") is not None:
        stated = {**stated, "rope_theta": values["rope_theta"]}
    try:
        return RopeConfig.from_hub(stated)
    except ConfigError as error:
        raise ConfigError(f"LlamaConfig: field '{key}': {error.message}") from error
