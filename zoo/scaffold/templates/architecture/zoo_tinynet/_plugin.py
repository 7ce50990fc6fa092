"""What this package contributes. Strings only: nothing is imported until it is used."""

from __future__ import annotations

from zoo.plugins import hookimpl
from zoo.spec import ArchitectureSpec, LayoutSpec, Manifest


@hookimpl
def zoo_manifest() -> Manifest:
    return Manifest(api_version=1, licence="MIT", summary="Tinynet, a small convolutional network")


@hookimpl
def zoo_architectures() -> list[ArchitectureSpec]:
    return [
        ArchitectureSpec(
            name="tinynet",
            config="zoo_tinynet.config:TinynetConfig",
            model="zoo_tinynet.model:Tinynet",
            modality="image",
            default_task="zoo-sdk:image-classification",
            preprocessor="zoo-sdk:image",
            model_types=("tinynet",),
            summary="Four stages of depthwise convolutions",
        ),
    ]


@hookimpl
def zoo_layouts() -> list[LayoutSpec]:
    return [
        LayoutSpec(
            name="tinynet-model",
            architecture="tinynet",
            class_name="TinynetModel",
            summary="The backbone alone",
            matches="zoo_tinynet.layouts:matches_backbone",
            read_config="zoo_tinynet.layouts:read_backbone",
            write_config="zoo_tinynet.layouts:write_backbone",
            key_map="zoo_tinynet.keys:BACKBONE",
        ),
        LayoutSpec(
            name="tinynet-image-classification",
            architecture="tinynet",
            head="zoo-sdk:image-classifier",
            class_name="TinynetForImageClassification",
            summary="The backbone with a classifier",
            matches="zoo_tinynet.layouts:matches_classifier",
            read_config="zoo_tinynet.layouts:read_classifier",
            write_config="zoo_tinynet.layouts:write_classifier",
            key_map="zoo_tinynet.keys:CLASSIFIER",
        ),
    ]
