"""What this package contributes."""

from __future__ import annotations

from zoo.plugins import hookimpl
from zoo.spec import FeatureRequirement, HeadSpec, Manifest, TaskSpec


@hookimpl
def zoo_manifest() -> Manifest:
    return Manifest(api_version=1, licence="MIT", summary="Depth estimation")


@hookimpl
def zoo_tasks() -> list[TaskSpec]:
    return [
        TaskSpec(
            name="depth-estimation",
            aliases=("depth",),
            inputs="an image: a path, bytes, a Pillow image, an array or a tensor",
            outputs="a distance for every pixel",
            pipeline="zoo_depth.pipeline:DepthPipeline",
            default_heads={"map": "depth-pyramid"},
            summary="Estimate how far away is what each pixel shows",
        )
    ]


@hookimpl
def zoo_heads() -> list[HeadSpec]:
    return [
        HeadSpec(
            name="depth-pyramid",
            task="depth-estimation",
            head="zoo_depth.head:DepthPyramid",
            config="zoo_depth.config:DepthPyramidConfig",
            requires=FeatureRequirement(kind="map", modality="image"),
            summary="All maps brought to one width, added from coarse to fine, and mapped to distances",
        )
    ]
