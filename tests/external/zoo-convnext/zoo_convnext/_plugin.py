"""What this package contributes."""

from __future__ import annotations

from zoo.plugins import hookimpl
from zoo.spec import ArchitectureSpec, LayoutSpec, Manifest


@hookimpl
def zoo_manifest() -> Manifest:
    return Manifest(api_version=1, licence="MIT", summary="ConvNeXt")


@hookimpl
def zoo_architectures() -> list[ArchitectureSpec]:
    return [
        ArchitectureSpec(
            name="convnext",
            config="zoo_convnext.config:ConvNextConfig",
            model="zoo_convnext.model:ConvNext",
            modality="image",
            default_task="zoo-sdk:image-classification",
            preprocessor="zoo-sdk:image",
            model_types=("convnext",),
            paper="https://arxiv.org/abs/2201.03545",
            summary="A convolutional network in four stages, with what transformers taught",
        )
    ]


@hookimpl
def zoo_layouts() -> list[LayoutSpec]:
    hub, keys = "zoo_convnext.layouts", "zoo_convnext.keys"
    return [
        LayoutSpec(
            name="convnext-model",
            architecture="convnext",
            class_name="ConvNextModel",
            summary="The Hub's ConvNextModel",
            matches=f"{hub}:matches_backbone",
            read_config=f"{hub}:read_backbone",
            write_config=f"{hub}:write_backbone",
            key_map=f"{keys}:BACKBONE",
        ),
        LayoutSpec(
            name="convnext-image-classification",
            architecture="convnext",
            head="zoo-sdk:image-classifier",
            class_name="ConvNextForImageClassification",
            summary="The Hub's ConvNextForImageClassification",
            matches=f"{hub}:matches_classifier",
            read_config=f"{hub}:read_classifier",
            write_config=f"{hub}:write_classifier",
            key_map=f"{keys}:CLASSIFIER",
        ),
        LayoutSpec(
            name="upernet-convnext",
            architecture="convnext",
            head="zoo-segmentation:upernet",
            neck="zoo-segmentation:stage-norms",
            class_name="UperNetForSemanticSegmentation",
            summary="The Hub's UperNetForSemanticSegmentation with ConvNeXt",
            # Of another plugin, zoo-segmentation, but ours to name: it is used where that is installed.
            matches="zoo_convnext.upernet:matches",
            read_config="zoo_convnext.upernet:read_config",
            write_config="zoo_convnext.upernet:write_config",
            key_map="zoo_convnext.upernet:key_map",
        ),
    ]
