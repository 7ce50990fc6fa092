"""What this package contributes. Strings only: nothing is imported until it is used.

What another distribution brings goes by its full name, so that a third one that claims the bare name is no obstacle.
"""

from __future__ import annotations

from zoo.plugins import hookimpl
from zoo.spec import ArchitectureSpec, FeatureRequirement, HeadSpec, LayoutSpec, Manifest, NeckSpec, PresetSpec
from zoo_vit.presets import PRESETS

_TASK = "zoo-sdk:image-classification"
_CLASSIFIER = "zoo-sdk:image-classifier"


@hookimpl
def zoo_manifest() -> Manifest:
    return Manifest(api_version=1, licence="Apache-2.0", summary="Vision Transformer, DeiT and DINOv2")


@hookimpl
def zoo_architectures() -> list[ArchitectureSpec]:
    return [
        ArchitectureSpec(
            name="vit",
            config="zoo_vit.config:ViTConfig",
            model="zoo_vit.model:VisionTransformer",
            modality="image",
            default_task=_TASK,
            default_preset="vit-base-patch16-224",
            preprocessor="zoo-sdk:image",
            model_types=("vit",),
            paper="https://arxiv.org/abs/2010.11929",
            summary="Vision Transformer: global attention between patches of one size",
        ),
        ArchitectureSpec(
            name="deit",
            config="zoo_vit.config:DeiTConfig",
            model="zoo_vit.model:VisionTransformer",
            modality="image",
            default_task=_TASK,
            default_preset="deit-base-distilled-patch16-224",
            preprocessor="zoo-sdk:image",
            model_types=("deit",),
            paper="https://arxiv.org/abs/2012.12877",
            summary="Vision Transformer with a token that learns from a teacher",
        ),
        ArchitectureSpec(
            name="dinov2",
            config="zoo_vit.config:Dinov2Config",
            model="zoo_vit.model:VisionTransformer",
            modality="image",
            default_task="zoo-sdk:image-feature-extraction",
            default_preset="dinov2-small",
            preprocessor="zoo-sdk:image",
            model_types=("dinov2", "dinov2_with_registers"),
            heads={"image-classification": "class-and-mean-classifier"},
            paper="https://arxiv.org/abs/2304.07193",
            summary="Vision Transformer trained without labels; with registers or without",
        ),
    ]


@hookimpl
def zoo_heads() -> list[HeadSpec]:
    return [
        HeadSpec(
            name="class-and-mean-classifier",
            task=_TASK,
            head="zoo_vit.heads:ClassAndMeanClassifier",
            config="zoo.tasks.head_configs:ImageClassifierConfig",
            requires=FeatureRequirement(kind="tokens", modality="image", prefix_tokens=1),
            summary="Label scores from the class token and the mean of the patches' tokens",
        ),
        HeadSpec(
            name="distilled-classifier",
            task=_TASK,
            head="zoo_vit.heads:DistilledClassifier",
            config="zoo.tasks.head_configs:ImageClassifierConfig",
            requires=FeatureRequirement(kind="tokens", modality="image", prefix_tokens=2),
            summary="Label scores from a class token and a distillation token: the mean of both",
        ),
    ]


@hookimpl
def zoo_necks() -> list[NeckSpec]:
    return [
        NeckSpec(
            name="simple_fpn",
            neck="zoo_vit.simple_fpn:SimpleFPN",
            config="zoo_vit.simple_fpn_config:SimpleFPNConfig",
            requires=FeatureRequirement(kind="tokens", modality="image", causal=False),
            summary="Maps at strides 4, 8, 16 and 32 from the tokens of a plain backbone (ViTDet)",
        )
    ]


@hookimpl
def zoo_layouts() -> list[LayoutSpec]:
    return [
        _backbone("vit", "ViT"),
        _classifier("vit", "ViT"),
        _masked("vit", "ViT"),
        _backbone("deit", "DeiT"),
        _classifier("deit", "DeiT"),
        _masked("deit", "DeiT"),
        LayoutSpec(
            name="deit-image-classification-with-teacher",
            architecture="deit",
            head="distilled-classifier",
            class_name="DeiTForImageClassificationWithTeacher",
            summary="The Hub's DeiTForImageClassificationWithTeacher",
            matches="zoo_vit.layouts:DEIT.matches_teacher",
            read_config="zoo_vit.layouts:DEIT.read_classifier",
            write_config="zoo_vit.layouts:DEIT.write_teacher",
            key_map="zoo_vit.keys:DEIT_TEACHER",
        ),
        _backbone("dinov2", "Dinov2"),
        LayoutSpec(
            name="dinov2-image-classification",
            architecture="dinov2",
            head="class-and-mean-classifier",
            class_name="Dinov2ForImageClassification",
            summary="The Hub's Dinov2ForImageClassification and Dinov2WithRegistersForImageClassification",
            matches="zoo_vit.layouts:DINOV2.matches_classifier",
            read_config="zoo_vit.layouts:DINOV2.read_classifier",
            write_config="zoo_vit.layouts:DINOV2.write_classifier",
            key_map="zoo_vit.keys:dinov2_classifier",
        ),
        _original("vit", _CLASSIFIER),
        _original("vit"),
        _original("deit", "distilled-classifier"),
        _original("deit"),
        _original("dinov2"),
    ]


@hookimpl
def zoo_presets() -> list[PresetSpec]:
    return PRESETS


def _backbone(architecture: str, name: str) -> LayoutSpec:
    classes = f"zoo_vit.layouts:{architecture.upper()}"
    also = ", its Backbone class, and the same with registers" if architecture == "dinov2" else ""
    return LayoutSpec(
        name=f"{architecture}-model",
        architecture=architecture,
        class_name=f"{name}Model",
        summary=f"The Hub's {name}Model{also}",
        matches=f"{classes}.matches_backbone",
        read_config=f"{classes}.read_backbone",
        write_config=f"{classes}.write_backbone",
        key_map=f"zoo_vit.keys:{architecture.upper()}",
    )


def _classifier(architecture: str, name: str) -> LayoutSpec:
    classes = f"zoo_vit.layouts:{architecture.upper()}"
    return LayoutSpec(
        name=f"{architecture}-image-classification",
        architecture=architecture,
        head=_CLASSIFIER,
        class_name=f"{name}ForImageClassification",
        summary=f"The Hub's {name}ForImageClassification",
        matches=f"{classes}.matches_classifier",
        read_config=f"{classes}.read_classifier",
        write_config=f"{classes}.write_classifier",
        key_map=f"zoo_vit.keys:{architecture.upper()}_CLASSIFIER",
    )


def _masked(architecture: str, name: str) -> LayoutSpec:
    classes = f"zoo_vit.layouts:{architecture.upper()}"
    return LayoutSpec(
        name=f"{architecture}-masked-image-modeling",
        architecture=architecture,
        class_name=f"{name}ForMaskedImageModeling",
        summary=f"The backbone of the Hub's {name}ForMaskedImageModeling; only read",
        matches=f"{classes}.matches_masked",
        read_config=f"{classes}.read_backbone",
        key_map=f"zoo_vit.keys:{architecture.upper()}_MASKED",
    )


def _original(architecture: str, head: str | None = None) -> LayoutSpec:
    """The names of the authors, which are timm's; only read, since the Hub's are what everybody reads."""
    kind = f"{architecture.upper()}_{'BACKBONE' if head is None else 'CLASSIFIER'}"
    return LayoutSpec(
        name=f"{architecture}-original-{'backbone' if head is None else 'classifier'}",
        architecture=architecture,
        head=head,
        summary=f"The names of the authors and of timm{', without a head' if head is None else ''}; only read",
        matches=f"zoo_vit.original:{kind}.matches",
        read_config="zoo_vit.original:read_original",
        key_map="zoo_vit.keys:original",
    )
