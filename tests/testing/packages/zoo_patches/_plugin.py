from __future__ import annotations

from zoo.plugins import hookimpl
from zoo.spec import ArchitectureSpec, FeatureRequirement, HeadSpec, LayoutSpec, Manifest, PresetSpec


@hookimpl
def zoo_manifest():
    return Manifest(api_version=1, licence="MIT", docs_url="https://example.org/patches")


@hookimpl
def zoo_architectures():
    return [
        ArchitectureSpec(
            name="patches",
            config="zoo_patches.config:PatchesConfig",
            model="zoo_patches.model:Patches",
            modality="image",
            default_task="zoo-sdk:image-classification",
            preprocessor="zoo-sdk:image",
            model_types=("patches",),
            summary="Patches that look at each other once",
        )
    ]


@hookimpl
def zoo_heads():
    return [
        HeadSpec(
            name="patch-scores",
            task="zoo-sdk:image-classification",
            head="zoo_patches.head:PatchScores",
            config="zoo_patches.config:PatchScoresConfig",
            requires=FeatureRequirement(kind="tokens", modality="image"),
            summary="Scores from the first token",
        )
    ]


@hookimpl
def zoo_presets():
    return [PresetSpec(name="patches-s", architecture="patches", sources=("/nowhere",), summary="None")]


@hookimpl
def zoo_layouts():
    return [
        LayoutSpec(
            name="patches-model",
            architecture="patches",
            summary="The backbone",
            matches="zoo_patches.layouts:is_model",
            read_config="zoo_patches.layouts:read_model",
            write_config="zoo_patches.layouts:write_model",
            key_map="zoo_patches.layouts:MODEL",
        ),
        LayoutSpec(
            name="patches-scores",
            architecture="patches",
            head="patch-scores",
            summary="With the head",
            matches="zoo_patches.layouts:is_scores",
            read_config="zoo_patches.layouts:read_scores",
            write_config="zoo_patches.layouts:write_scores",
            key_map="zoo_patches.layouts:SCORES",
        ),
        LayoutSpec(
            name="patches-authors",
            architecture="patches",
            summary="The authors' names; only read",
            matches="zoo_patches.layouts:is_authors",
            read_config="zoo_patches.layouts:read_model",
            key_map="zoo_patches.layouts:AUTHORS",
        ),
    ]
