from __future__ import annotations

from dataclasses import dataclass

from zoo.interfaces import FeatureSpec, TypedConfig


@dataclass(frozen=True, kw_only=True)
class WordsConfig(TypedConfig):
    vocab_size: int = 50
    width: int = 16

    def feature_specs(self) -> tuple[FeatureSpec, ...]:
        return (FeatureSpec(name="tokens", channels=self.width, kind="tokens", modality="text", causal=True),)
