"""ViT, DeiT and DINOv2 keep what every architecture promises."""

from __future__ import annotations

import torch

from zoo.testing import ArchitectureConformance, HeadConformance

TINY = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 32, "patch_size": 8}
CAPABILITIES = {"attention_backends", "compile", "export", "gradient_checkpointing"}
LABELS = {"labels": ("crane", "crane", "dog")}
MASKED = {"embedding.mask_token": "it takes the place of patches only where masked_patches says so"}


class VisionTransformerConformance(ArchitectureConformance):
    capabilities = CAPABILITIES

    def run_reference(self, model, inputs):
        if self.architecture == "dinov2":
            return model(**inputs)
        return model(**inputs, interpolate_pos_encoding=True)

    def reference_outputs(self, output, features):
        """The vector is the class token; what the reference calls pooled goes through one more layer."""
        found = {"tokens": output.last_hidden_state, "vector": output.last_hidden_state[:, 0]}
        if "pooled" in features.extras:
            found["extras.pooled"] = output.pooler_output
        return found


class TestViT(VisionTransformerConformance):
    architecture = "vit"
    tiny = TINY | {"intermediate_size": 24}
    reference = "transformers:ViTModel"


class TestDeiT(VisionTransformerConformance):
    architecture = "deit"
    tiny = TINY | {"intermediate_size": 24}
    reference = "transformers:DeiTModel"


class TestDinov2(VisionTransformerConformance):
    architecture = "dinov2"
    tiny = TINY | {"mlp_ratio": 2, "layerscale_value": 0.5}
    reference = "transformers:Dinov2Model"
    without_gradient = MASKED


class ClassifierConformance(HeadConformance):
    head_config = LABELS
    tiny = TINY

    def target(self, batch, size):
        return torch.arange(batch) % 3


class TestClassAndMeanClassifier(ClassifierConformance):
    head = "class-and-mean-classifier"
    architecture = "dinov2"


class TestDistilledClassifier(ClassifierConformance):
    head = "distilled-classifier"
    architecture = "deit"
