"""What this package contributes. Strings only: nothing is imported until it is used."""

from __future__ import annotations

from zoo.plugins import hookimpl
from zoo.spec import FeatureRequirement, HeadSpec, Manifest


@hookimpl
def zoo_manifest() -> Manifest:
    return Manifest(api_version=1, licence="MIT", summary="A classifier of images by cosines")


@hookimpl
def zoo_heads() -> list[HeadSpec]:
    return [
        HeadSpec(
            name="tinyhead",
            task="zoo-sdk:image-classification",
            head="zoo_tinyhead.head:TinyheadClassifier",
            config="zoo_tinyhead.config:TinyheadConfig",
            # Of all that a backbone gives, the head is built from what is first met here.
            requires=FeatureRequirement(kind="vector", modality="image"),
            summary="Labels by the cosine between an image's vector and theirs",
        ),
    ]
