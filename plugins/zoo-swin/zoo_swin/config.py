"""The configurations of Swin and Swin V2, with the Hub's key names. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

from zoo.interfaces import FeatureSpec, TypedConfig

__all__ = ["SwinConfig", "SwinV2Config", "Transformer"]

MAX_LAYERS = 1000
"""More than any Swin has; a file that says more is refused rather than built for hours."""

MAX_STAGES = 12
"""More than any Swin has; each halves the resolution."""

MAX_SIZE = 2**24
"""More than any dimension of a Swin."""

MAX_WINDOW = 256
"""More patches than a side of any window has; attention has the fourth power of it in numbers."""


@dataclass(frozen=True, kw_only=True)
class Transformer(TypedConfig):
    """What both versions have. Sizes in elements; image_size and patch_size in pixels, window_size in patches.

    depths, num_heads: of each stage; a stage has half the resolution and twice the channels of the one before.
    image_size: what the network was made for; it takes images of any size. dense: only the maps are wanted, as for
    dense prediction, so there is neither a last norm nor a vector.
    """

    image_size: int | tuple[int, int] = 224
    patch_size: int | tuple[int, int] = 4
    num_channels: int = 3
    embed_dim: int = 96
    depths: tuple[int, ...] = (2, 2, 6, 2)
    num_heads: tuple[int, ...] = (3, 6, 12, 24)
    window_size: int = 7
    mlp_ratio: float = 4.0
    qkv_bias: bool = True
    hidden_dropout_prob: float = 0.0
    attention_probs_dropout_prob: float = 0.0
    drop_path_rate: float = 0.1
    hidden_act: Literal["gelu", "gelu_new", "gelu_pytorch_tanh", "relu", "selu", "silu"] = "gelu"
    use_absolute_embeddings: bool = False
    initializer_range: float = 0.02
    layer_norm_eps: float = 1e-5
    dense: bool = False

    def validate(self) -> None:
        self._validate_stages()
        for name in ("num_channels", "embed_dim", "window_size", "mlp_ratio", "layer_norm_eps"):
            self.require_positive(name)
        for name, largest in (
            ("num_channels", MAX_SIZE),
            ("embed_dim", MAX_SIZE),
            ("window_size", MAX_WINDOW),
            ("mlp_ratio", 1024),
        ):
            if getattr(self, name) > largest:
                raise self.invalid(name, f"must be at most {largest}, found {getattr(self, name)}")
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
            raise self.invalid("patch_size", f"must be square, since a map has one stride; found {self.patch_size}")
        if min(self.grid) < 1:
            raise self.invalid("image_size", f"{self.image_size} is smaller than a patch, {self.patch_size}")
        if int(self.mlp_ratio * self.embed_dim) < 1:
            raise self.invalid("mlp_ratio", f"{self.mlp_ratio} leaves no channels of embed_dim, {self.embed_dim}")

    def _validate_stages(self) -> None:
        if not 0 < len(self.depths) <= MAX_STAGES:
            raise self.invalid("depths", f"must have from 1 to {MAX_STAGES} stages, found {list(self.depths)}")
        if len(self.num_heads) != len(self.depths):
            raise self.invalid(
                "num_heads",
                f"must have one number per stage, of which depths has {len(self.depths)}; found {list(self.num_heads)}",
            )
        for name in ("depths", "num_heads"):
            for value in getattr(self, name):
                if value < 1:
                    raise self.invalid(name, f"must be above 0, found {value}")
        if sum(self.depths) > MAX_LAYERS:
            raise self.invalid("depths", f"must be at most {MAX_LAYERS} blocks in all, found {sum(self.depths)}")
        for stage, heads in enumerate(self.num_heads):
            if self.channels(stage) % heads:
                raise self.invalid(
                    "num_heads", f"stage {stage} has {self.channels(stage)} channels, no multiple of its {heads} heads"
                )

    @property
    def patch(self) -> int:
        """The side of a patch, in pixels."""
        return _pair(self.patch_size)[0]

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of patches in an image of `image_size`."""
        height, width = _pair(self.image_size)
        return height // self.patch, width // self.patch

    def channels(self, stage: int) -> int:
        """Channels of a stage."""
        return self.embed_dim * 2**stage

    def window(self, stage: int) -> int:
        """The side of a stage's windows, in positions of its map."""
        return self.window_size

    def feature_specs(self) -> tuple[FeatureSpec, ...]:
        """A map per stage; after the last norm their mean over all positions, unless the maps alone are wanted."""
        maps = tuple(
            FeatureSpec(
                name=f"stage{stage + 1}",
                channels=self.channels(stage),
                kind="map",
                modality="image",
                stride=self.patch * 2**stage,
            )
            for stage in range(len(self.depths))
        )
        if self.dense:
            return maps
        pooled = FeatureSpec(name="pooled", channels=self.channels(len(maps) - 1), kind="vector", modality="image")
        return (*maps, pooled)

    def maps_only(self) -> Self:
        return self.replace(dense=True)

    def write_hub(self, values: dict[str, Any], names: Sequence[str]) -> None:
        super().write_hub(values, names)
        if not self.dense:  # a word of ours, needed only where it says something
            values.pop("dense", None)


@dataclass(frozen=True, kw_only=True)
class SwinConfig(Transformer):
    """The shape of a Swin Transformer (Liu et al., 2021).

    dense, moreover: maps that are no larger than a window are shifted like all others. Otherwise they are not, as in
    classification.
    """


@dataclass(frozen=True, kw_only=True)
class SwinV2Config(Transformer):
    """The shape of a Swin Transformer V2 (Liu et al., 2022).

    pretrained_window_sizes: of each stage, the windows that the network was trained with before it was given larger
    ones; 0 for the same ones.
    """

    pretrained_window_sizes: tuple[int, ...] = (0, 0, 0, 0)

    def validate(self) -> None:
        super().validate()
        if self.use_absolute_embeddings:
            raise self.invalid(
                "use_absolute_embeddings",
                "is true, but Swin V2 with absolute position embeddings was never published, and no file format says "
                "how they lie on disk",
            )
        if len(self.pretrained_window_sizes) < len(self.depths):
            raise self.invalid(
                "pretrained_window_sizes",
                f"must have one number per stage, of which depths has {len(self.depths)}; "
                f"found {list(self.pretrained_window_sizes)}",
            )
        for size in self.pretrained_window_sizes:
            if size != 0 and not 2 <= size <= MAX_WINDOW:
                raise self.invalid("pretrained_window_sizes", f"must be 0 or from 2 to {MAX_WINDOW}, found {size}")
        for stage in range(len(self.depths)):
            if self.window(stage) < 1:
                raise self.invalid(
                    "image_size", f"{self.image_size} leaves stage {stage} of {len(self.depths)} without a position"
                )

    def window(self, stage: int) -> int:
        """No larger than the map that the stage has of an image of `image_size`."""
        return min(self.window_size, self.stage_grid(stage)[0])

    def stage_grid(self, stage: int) -> tuple[int, int]:
        """Rows and columns of a stage's map of an image of `image_size`."""
        height, width = self.grid
        return height // 2**stage, width // 2**stage

    @classmethod
    def read_hub(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        found = super().read_hub(values)
        if found.get("pretrained_window_sizes", ()) is None:
            del found["pretrained_window_sizes"]
        return found


def _pair(size: int | tuple[int, int]) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else size
