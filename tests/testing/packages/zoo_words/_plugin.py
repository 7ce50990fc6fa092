from __future__ import annotations

from zoo.plugins import hookimpl
from zoo.spec import ArchitectureSpec, LayoutSpec, Manifest


@hookimpl
def zoo_manifest():
    return Manifest(api_version=1, licence="MIT", docs_url="https://example.org/words")


@hookimpl
def zoo_architectures():
    return [
        ArchitectureSpec(
            name="words",
            config="zoo_words.config:WordsConfig",
            model="zoo_words.model:Words",
            modality="text",
            default_task="zoo-sdk:text-generation",
            preprocessor="zoo-sdk:text",
            model_types=("words",),
            summary="Words that look back",
        )
    ]


@hookimpl
def zoo_layouts():
    return [
        LayoutSpec(
            name="words-model",
            architecture="words",
            summary="The backbone",
            matches="zoo_words.layouts:is_model",
            read_config="zoo_words.layouts:read_model",
            write_config="zoo_words.layouts:write_model",
            key_map="zoo_words.layouts:MODEL",
        )
    ]
