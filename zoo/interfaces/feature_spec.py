"""What features a backbone gives, said without torch and before anything is allocated."""

from __future__ import annotations

from dataclasses import dataclass

from zoo.spec import FeatureKind, FeatureRequirement, Modality

__all__ = ["FeatureSpec"]


@dataclass(frozen=True, kw_only=True)
class FeatureSpec:
    """One output of a backbone.

    kind: "map" (batch, channels, height, width), "tokens" (batch, length, channels) or "vector" (batch, channels).
    stride: input pixels (or samples) per position; None where the notion has no meaning. prefix_tokens: how many
    leading tokens (class, registers) stand for no position. causal: whether a position sees only what is before it.
    """

    name: str
    channels: int
    kind: FeatureKind
    modality: Modality
    stride: int | None = None
    prefix_tokens: int = 0
    causal: bool = False

    def unmet(self, requirement: FeatureRequirement) -> str | None:
        """Why this feature does not serve the requirement, or None when it does (strides concern several features)."""
        if self.kind != requirement.kind:
            return f"needs {requirement.kind}, but '{self.name}' is {self.kind}"
        if requirement.modality is not None and self.modality != requirement.modality:
            return f"needs {requirement.modality} features, but '{self.name}' is of {self.modality}"
        if requirement.causal is not None and self.causal != requirement.causal:
            wanted = "causal" if requirement.causal else "bidirectional"
            return f"needs {wanted} features, but '{self.name}' is {'causal' if self.causal else 'bidirectional'}"
        if self.prefix_tokens < requirement.prefix_tokens:
            return f"needs {requirement.prefix_tokens} prefix tokens, but '{self.name}' has {self.prefix_tokens}"
        return None
