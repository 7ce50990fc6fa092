"""What zoo asks of an architecture, and what Tinynet says that it can."""

from __future__ import annotations

from zoo.testing import ArchitectureConformance


class TestTinynet(ArchitectureConformance):
    architecture = "zoo-tinynet:tinynet"
    tiny = {"channels": (8, 12, 16, 24), "depths": (1, 1, 2, 1)}
    reference = None
    reference_reason = "There is no other implementation. Where there is one, name it: 'transformers:SwinModel'."
    capabilities = {"compile", "export"}
