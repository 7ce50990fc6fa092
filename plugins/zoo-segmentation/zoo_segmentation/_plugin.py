"""What this package contributes. Strings only: nothing is imported until it is used.

What another distribution brings goes by its full name, so that a third one that claims the bare name is no obstacle.
"""

from __future__ import annotations

from zoo.plugins import hookimpl
from zoo.spec import FeatureRequirement, HeadSpec, LayoutSpec, Manifest, NeckSpec, PresetSpec, TaskSpec
from zoo_segmentation.presets import PRESETS

_PYRAMID = FeatureRequirement(kind="map", modality="image", strides=(4, 8, 16, 32))


@hookimpl
def zoo_manifest() -> Manifest:
    return Manifest(api_version=1, licence="Apache-2.0", summary="Semantic segmentation: heads, metrics and pipeline")


@hookimpl
def zoo_tasks() -> list[TaskSpec]:
    return [
        TaskSpec(
            name="image-segmentation",
            aliases=("segmentation", "semantic-segmentation"),
            inputs="an image: a path, bytes, a Pillow image, an array or a tensor",
            outputs="a label for every pixel, and for each label its score, area and mask",
            pipeline="zoo_segmentation.pipeline:ImageSegmentationPipeline",
            # Tokens are refused with what UperNet needs, and the necks that give it.
            default_heads={"map": "upernet", "tokens": "upernet"},
            summary="Give every pixel of an image one of several labels",
        ),
    ]


@hookimpl
def zoo_heads() -> list[HeadSpec]:
    return [
        HeadSpec(
            name="upernet",
            task="image-segmentation",
            head="zoo_segmentation.upernet:UperNet",
            config="zoo_segmentation.config:UperNetConfig",
            requires=_PYRAMID,
            summary="Pyramid pooling over the coarsest map, joined with the finer ones from the top down",
        ),
        HeadSpec(
            name="fpn",
            task="image-segmentation",
            head="zoo_segmentation.fpn:FPN",
            config="zoo_segmentation.config:FPNConfig",
            requires=_PYRAMID,
            summary="A feature pyramid, whose levels are brought to one resolution and added up",
        ),
    ]


@hookimpl
def zoo_necks() -> list[NeckSpec]:
    return [
        NeckSpec(
            name="stage-norms",
            neck="zoo_segmentation.stage_norms:StageNorms",
            config="zoo_segmentation.stage_norms_config:StageNormsConfig",
            requires=FeatureRequirement(kind="map", modality="image"),
            summary="A layer norm for each map, as dense prediction with Swin has them",
        ),
    ]


@hookimpl
def zoo_layouts() -> list[LayoutSpec]:
    return [
        _upernet("swin", "Swin", neck="stage-norms"),
        _upernet("swinv2", "Swin V2"),
        LayoutSpec(
            name="upernet-swin-microsoft",
            architecture="zoo-swin:swin",
            neck="stage-norms",
            head="upernet",
            summary="The names of Swin's authors; only read",
            matches="zoo_segmentation.original:matches",
            read_config="zoo_segmentation.original:read_config",
            key_map="zoo_segmentation.keys:original",
        ),
    ]


@hookimpl
def zoo_presets() -> list[PresetSpec]:
    return PRESETS


def _upernet(architecture: str, name: str, neck: str | None = None) -> LayoutSpec:
    layout = f"zoo_segmentation.layouts:{architecture.upper()}"
    return LayoutSpec(
        name=f"upernet-{architecture}",
        architecture=f"zoo-swin:{architecture}",
        neck=neck,
        head="upernet",
        class_name="UperNetForSemanticSegmentation",
        summary=f"The Hub's UperNetForSemanticSegmentation with {name}",
        matches=f"{layout}.matches",
        read_config=f"{layout}.read_config",
        write_config=f"{layout}.write_config",
        key_map=f"zoo_segmentation.keys:{architecture.upper()}",
    )
