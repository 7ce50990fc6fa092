"""The configurations of ViT, DeiT and DINOv2, with the Hub's key names. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from zoo.interfaces import FeatureSpec, TypedConfig

__all__ = ["DeiTConfig", "Dinov2Config", "Transformer", "ViTConfig"]

MAX_LAYERS = 1000
"""More than any of these has; a file that says more is refused rather than built for hours."""

MAX_SIZE = 2**24
"""More than any dimension of them."""

WITH_REGISTERS = "dinov2_with_registers"


@dataclass(frozen=True, kw_only=True)
class Transformer(TypedConfig):
    """What all of them have. Sizes in elements; image_size and patch_size in pixels.

    image_size: what the position embeddings were made for; the network takes images of any size.
    """

    image_size: int | tuple[int, int] = 224
    patch_size: int | tuple[int, int] = 16
    num_channels: int = 3
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    hidden_act: Literal["gelu", "gelu_new", "gelu_pytorch_tanh", "relu", "selu", "silu"] = "gelu"
    qkv_bias: bool = True
    hidden_dropout_prob: float = 0.0
    attention_probs_dropout_prob: float = 0.0
    drop_path_rate: float = 0.0
    initializer_range: float = 0.02
    layer_norm_eps: float = 1e-12

    def validate(self) -> None:
        for name in ("num_channels", "hidden_size", "num_hidden_layers", "num_attention_heads", "layer_norm_eps"):
            self.require_positive(name)
        self.require_at_most(MAX_SIZE, "num_channels", "hidden_size")
        self.require_at_most(MAX_LAYERS, "num_hidden_layers")
        if self.hidden_size % self.num_attention_heads:
            raise self.invalid(
                "num_attention_heads",
                f"{self.num_attention_heads} heads can't share the {self.hidden_size} channels of hidden_size evenly",
            )
        for name in ("hidden_dropout_prob", "attention_probs_dropout_prob", "drop_path_rate"):
            if not 0 <= getattr(self, name) < 1:
                raise self.invalid(name, f"must be from 0 to below 1, found {getattr(self, name)}")
        if self.initializer_range < 0:
            raise self.invalid("initializer_range", f"must not be negative, found {self.initializer_range}")
        for name in ("image_size", "patch_size"):
            for side in _pair(getattr(self, name)):
                if not 0 < side <= MAX_SIZE:
                    raise self.invalid(name, f"must be above 0 and at most {MAX_SIZE}, found {side}")
        if len(set(_pair(self.patch_size))) > 1:
            raise self.invalid("patch_size", f"must be square, since tokens have one stride; found {self.patch_size}")
        if min(self.grid) < 1:
            raise self.invalid("image_size", f"{self.image_size} is smaller than a patch, {self.patch_size}")

    def require_at_most(self, largest: int, *names: str) -> None:
        """Raise ConfigError for the first of the fields that is larger."""
        for name in names:
            if getattr(self, name) > largest:
                raise self.invalid(name, f"must be at most {largest}, found {getattr(self, name)}")

    @property
    def hub_type(self) -> str:
        """`model_type` in config.json."""
        raise NotImplementedError

    @property
    def patch(self) -> int:
        """The side of a patch, in pixels."""
        return _pair(self.patch_size)[0]

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of patches in an image of `image_size`."""
        height, width = _pair(self.image_size)
        return height // self.patch, width // self.patch

    @property
    def mlp_channels(self) -> int:
        """Channels inside a feed-forward network."""
        raise NotImplementedError

    @property
    def gated_mlp(self) -> bool:
        """Whether the feed-forward networks are SwiGLUs."""
        return False

    @property
    def layer_scale(self) -> float | None:
        """What the learned factors of the residual branches' channels begin as; None when there are none."""
        return None

    @property
    def residual_dropout(self) -> float:
        """How likely an element of a residual branch is dropped in training."""
        return self.hidden_dropout_prob

    @property
    def distillation_token(self) -> bool:
        """Whether a token that learns from a teacher follows the class token."""
        return False

    @property
    def registers(self) -> int:
        """How many tokens without a position stand before the patches."""
        return 0

    @property
    def mask_token(self) -> bool:
        """Whether there is a vector that stands for a masked patch."""
        return False

    @property
    def pooling(self) -> tuple[int, str] | None:
        """Channels and activation of the pooled class token; None when nothing pools it."""
        return None

    @property
    def positioned_prefix(self) -> int:
        """How many tokens before the patches have a position embedding."""
        return 1 + self.distillation_token

    @property
    def prefix_tokens(self) -> int:
        """How many tokens stand before the patches."""
        return self.positioned_prefix + self.registers

    @property
    def positions_in_float32(self) -> bool:
        """Whether position embeddings of a narrower dtype are interpolated in float32."""
        return False

    @property
    def positions_antialiased(self) -> bool:
        """Whether position embeddings are low-passed where an image has fewer patches than image_size."""
        return False

    def drop_path_rates(self) -> list[float]:
        """Of each layer: from 0 to drop_path_rate in equal steps."""
        last = max(self.num_hidden_layers - 1, 1)
        return [self.drop_path_rate * index / last for index in range(self.num_hidden_layers)]

    def feature_specs(self) -> tuple[FeatureSpec, ...]:
        """All tokens, and the class token alone, both after the last norm."""
        channels = self.hidden_size
        return (
            FeatureSpec(
                name="tokens",
                channels=channels,
                kind="tokens",
                modality="image",
                stride=self.patch,
                prefix_tokens=self.prefix_tokens,
            ),
            FeatureSpec(name="class", channels=channels, kind="vector", modality="image"),
        )


@dataclass(frozen=True, kw_only=True)
class ViTConfig(Transformer):
    """The shape of a Vision Transformer (Dosovitskiy et al., 2020).

    pooler: whether there is a linear map of the class token with `pooler_act` behind it, which the Hub's ViTModel has
    and its classifiers don't; only a file's tensors say which. pooler_output_size: its channels, by default those of
    all tokens.
    """

    intermediate_size: int = 3072
    pooler: bool = False
    pooler_output_size: int | None = None
    pooler_act: Literal["gelu", "gelu_new", "gelu_pytorch_tanh", "relu", "selu", "silu", "tanh"] = "tanh"

    def validate(self) -> None:
        super().validate()
        self.require_positive("intermediate_size")
        self.require_at_most(MAX_SIZE, "intermediate_size")
        if self.pooler_output_size is not None:
            self.require_positive("pooler_output_size")
            self.require_at_most(MAX_SIZE, "pooler_output_size")

    @property
    def hub_type(self) -> str:
        return "vit"

    @property
    def mlp_channels(self) -> int:
        return self.intermediate_size

    @property
    def pooling(self) -> tuple[int, str] | None:
        return (self.pooler_output_size or self.hidden_size, self.pooler_act) if self.pooler else None

    def write_hub(self, values: dict[str, Any], names: Sequence[str]) -> None:
        super().write_hub(values, names)
        if not self.pooler:  # a word of ours, needed only where it says something
            values.pop("pooler", None)


@dataclass(frozen=True, kw_only=True)
class DeiTConfig(ViTConfig):
    """The shape of a DeiT with a distillation token (Touvron et al., 2020). One without it is a ViT."""

    @property
    def hub_type(self) -> str:
        return "deit"

    @property
    def distillation_token(self) -> bool:
        return True


@dataclass(frozen=True, kw_only=True)
class Dinov2Config(Transformer):
    """The shape of a DINOv2 (Oquab et al., 2023), with registers (Darcet et al., 2023) or without.

    model_type: the Hub has one for each of the two; they interpolate position embeddings differently.
    layerscale_value: what the factors of the residual branches begin as. drop_path_rate: of every layer.
    """

    model_type: Literal["dinov2", "dinov2_with_registers"] = "dinov2"
    patch_size: int | tuple[int, int] = 14
    layer_norm_eps: float = 1e-6
    mlp_ratio: int | float = 4
    layerscale_value: float = 1.0
    use_swiglu_ffn: bool = False
    use_mask_token: bool = True
    num_register_tokens: int = 0

    def validate(self) -> None:
        super().validate()
        self.require_positive("mlp_ratio")
        self.require_at_most(1024, "mlp_ratio")
        if self.mlp_channels < 1:
            raise self.invalid("mlp_ratio", f"{self.mlp_ratio} leaves no channels of hidden_size, {self.hidden_size}")
        if not 0 <= self.num_register_tokens <= MAX_SIZE:
            raise self.invalid("num_register_tokens", f"must be from 0 to {MAX_SIZE}, found {self.num_register_tokens}")
        if self.num_register_tokens and self.model_type != WITH_REGISTERS:
            raise self.invalid(
                "num_register_tokens",
                f"is {self.num_register_tokens}, but model_type is '{self.model_type}'; with registers it is "
                f"'{WITH_REGISTERS}'",
            )

    @property
    def hub_type(self) -> str:
        return self.model_type

    @property
    def mlp_channels(self) -> int:
        """A SwiGLU has two thirds, rounded up to a multiple of 8, so that it has as many weights as a plain one."""
        channels = int(self.hidden_size * self.mlp_ratio)
        return (int(channels * 2 / 3) + 7) // 8 * 8 if self.use_swiglu_ffn else channels

    @property
    def gated_mlp(self) -> bool:
        return self.use_swiglu_ffn

    @property
    def layer_scale(self) -> float | None:
        return self.layerscale_value

    @property
    def residual_dropout(self) -> float:
        return 0.0

    @property
    def registers(self) -> int:
        return self.num_register_tokens

    @property
    def mask_token(self) -> bool:
        return self.use_mask_token or self.model_type == WITH_REGISTERS

    @property
    def positions_in_float32(self) -> bool:
        return True

    @property
    def positions_antialiased(self) -> bool:
        return self.model_type == WITH_REGISTERS

    def drop_path_rates(self) -> list[float]:
        """The same one for each layer, as in the authors' training."""
        return [self.drop_path_rate] * self.num_hidden_layers

    @classmethod
    def read_hub(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        found = super().read_hub(values)
        if found.get("model_type") == WITH_REGISTERS:
            found = {"patch_size": 16, "num_register_tokens": 4} | found
        return found

    def write_hub(self, values: dict[str, Any], names: Sequence[str]) -> None:
        super().write_hub(values, names)
        if self.model_type != WITH_REGISTERS and "num_register_tokens" not in self.hub:
            values.pop("num_register_tokens", None)  # the Hub's class knows no such word
        if "mlp_ratio" in names and self.mlp_ratio == int(self.mlp_ratio):
            values["mlp_ratio"] = int(self.mlp_ratio)  # transformers takes nothing but ints


def _pair(size: int | tuple[int, int]) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else size
