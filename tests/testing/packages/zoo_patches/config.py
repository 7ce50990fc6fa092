from __future__ import annotations

from dataclasses import dataclass

from zoo.interfaces import FeatureSpec, TypedConfig


@dataclass(frozen=True, kw_only=True)
class PatchesConfig(TypedConfig):
    width: int = 16
    depth: int = 2
    patch_size: int = 8
    slope: float = 1.0

    def validate(self) -> None:
        self.require_positive("width", "depth", "patch_size")

    def feature_specs(self) -> tuple[FeatureSpec, ...]:
        return (
            FeatureSpec(name="map", channels=self.width, kind="map", modality="image", stride=self.patch_size),
            FeatureSpec(
                name="tokens",
                channels=self.width,
                kind="tokens",
                modality="image",
                stride=self.patch_size,
                prefix_tokens=1,
            ),
            FeatureSpec(name="first", channels=self.width, kind="vector", modality="image"),
        )


@dataclass(frozen=True, kw_only=True)
class PatchScoresConfig(TypedConfig):
    labels: tuple[str, ...] = ("LABEL_0", "LABEL_1")
    temperature: float = 1.0
