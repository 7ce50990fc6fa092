"""ConvNeXt under zoo's conformance kit."""

from __future__ import annotations

from zoo.testing import ArchitectureConformance


class TestConvNext(ArchitectureConformance):
    architecture = "convnext"
    tiny = {"hidden_sizes": (8, 12, 16, 24), "depths": (1, 1, 2, 1), "num_stages": 4}
    reference = "transformers:ConvNextModel"
    capabilities = {"compile", "export", "gradient_checkpointing"}
