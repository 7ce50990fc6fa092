"""What this package contributes. Strings only: nothing is imported until it is used.

What another distribution brings goes by its full name, so that a third one that claims the bare name is no obstacle.
"""

from __future__ import annotations

from zoo.plugins import hookimpl
from zoo.spec import FeatureRequirement, HeadSpec, Manifest, TaskSpec

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
    ]
