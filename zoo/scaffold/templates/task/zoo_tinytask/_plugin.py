"""What this package contributes. Strings only: nothing is imported until it is used."""

from __future__ import annotations

from zoo.plugins import hookimpl
from zoo.spec import FeatureRequirement, HeadSpec, Manifest, TaskSpec


@hookimpl
def zoo_manifest() -> Manifest:
    return Manifest(api_version=1, licence="MIT", summary="A task: one number for an image")


@hookimpl
def zoo_tasks() -> list[TaskSpec]:
    return [
        TaskSpec(
            name="tinytask",
            inputs="an image: a path, bytes, a Pillow image, an array or a tensor",
            outputs="a number",
            pipeline="zoo_tinytask.pipeline:TinytaskPipeline",
            # The head for each kind of features that a backbone may give.
            default_heads={"vector": "tinytask-regressor", "map": "tinytask-regressor"},
            summary="Give an image a number, such as its quality",
        ),
    ]


@hookimpl
def zoo_heads() -> list[HeadSpec]:
    return [
        HeadSpec(
            name="tinytask-regressor",
            task="tinytask",
            head="zoo_tinytask.head:TinytaskRegressor",
            config="zoo_tinytask.config:TinytaskConfig",
            # In order of preference: the first that is met decides.
            requires=(
                FeatureRequirement(kind="vector", modality="image"),
                FeatureRequirement(kind="map", modality="image"),
            ),
            summary="A linear map of an image's vector, or of the mean of its coarsest map",
        ),
    ]
