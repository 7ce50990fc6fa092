"""What zoo-sdk itself contributes, through the same hooks as any plugin and with no privilege."""

from __future__ import annotations

from zoo.plugins import hookimpl
from zoo.spec import (
    API_VERSION,
    AttentionSpec,
    CommandSpec,
    FeatureRequirement,
    FormatSpec,
    HeadSpec,
    Manifest,
    PreprocessorSpec,
    TaskSpec,
)


@hookimpl
def zoo_manifest() -> Manifest:
    return Manifest(api_version=API_VERSION, licence="Apache-2.0", summary="The core of zoo")


@hookimpl
def zoo_formats() -> list[FormatSpec]:
    return [
        FormatSpec(
            name="safetensors",
            open="zoo.checkpoint.safetensors:open_file",
            suffixes=(".safetensors",),
            magic=b"\0\0\0\0{",  # the upper half of the header's length, and the brace that the header begins with
            magic_offset=4,
            summary="Tensors behind a JSON header; mapped, never copied",
        ),
        FormatSpec(
            name="torch",
            open="zoo.checkpoint.pickles.torch_zip:open_file",
            suffixes=(".bin", ".ckpt", ".jit", ".pt", ".pth", ".ptl"),
            magic=b"PK\x03\x04",
            summary="A zip archive that torch wrote; its pickle is read, never run",
        ),
        FormatSpec(
            name="torch-legacy",
            open="zoo.checkpoint.pickles.legacy:open_file",
            # A pickle of protocol 2 or higher; torch's number as protocols 0 and 1 write it.
            magic=(b"\x80", b"L119547037146038801333356L"),
            summary="Pickles that torch wrote before 1.6, or that hold numpy arrays; read, never run",
        ),
        FormatSpec(
            name="torch-tar",
            open="zoo.checkpoint.pickles.legacy_tar:open_file",
            magic=b"ustar",
            magic_offset=257,
            summary="A tar archive that torch wrote before 0.1.10; its pickles are read, never run",
        ),
    ]


@hookimpl
def zoo_preprocessors() -> list[PreprocessorSpec]:
    return [
        PreprocessorSpec(
            name="text",
            preprocessor="zoo.preprocess.text:TextPreprocessor",
            modality="text",
            summary="Tokenizer and chat template",
        ),
        PreprocessorSpec(
            name="image",
            preprocessor="zoo.preprocess.image:ImagePreprocessor",
            modality="image",
            summary="Resizing, cropping and normalising, with Pillow",
        ),
    ]


@hookimpl
def zoo_tasks() -> list[TaskSpec]:
    return [
        TaskSpec(
            name="text-generation",
            aliases=("generation", "causal-lm", "chat"),
            inputs="a text, or a list of chat messages",
            outputs="text, and why it stopped",
            pipeline="zoo.tasks.text_generation:TextGenerationPipeline",
            model="zoo.tasks.text_generation:CausalLanguageModel",
            default_heads={"tokens": "causal-lm"},
            summary="Continue a text or answer in a chat",
        ),
        TaskSpec(
            name="text-classification",
            aliases=("sequence-classification", "sentiment-analysis"),
            inputs="a text",
            outputs="labels with their scores",
            pipeline="zoo.tasks.text_classification:TextClassificationPipeline",
            model="zoo.tasks.text_classification:TextClassifier",
            default_heads={"tokens": "last-token-classifier"},
            summary="Give a text one of several labels",
        ),
        TaskSpec(
            name="image-classification",
            inputs="an image: a path, bytes, a Pillow image, an array or a tensor",
            outputs="labels with their scores",
            pipeline="zoo.tasks.image_classification:ImageClassificationPipeline",
            default_heads={"vector": "image-classifier", "map": "image-classifier", "tokens": "image-classifier"},
            summary="Give an image one of several labels",
        ),
        TaskSpec(
            name="image-feature-extraction",
            aliases=("image-features",),
            inputs="an image: a path, bytes, a Pillow image, an array or a tensor",
            outputs="the backbone's maps, tokens and vector",
            pipeline="zoo.tasks.image_features:ImageFeaturePipeline",
            headless=True,
            modality="image",
            summary="What a backbone sees in an image, as arrays",
        ),
    ]


@hookimpl
def zoo_heads() -> list[HeadSpec]:
    return [
        HeadSpec(
            name="causal-lm",
            task="text-generation",
            head="zoo.tasks.text_generation:CausalLMHead",
            config="zoo.tasks.head_configs:CausalLMHeadConfig",
            requires=FeatureRequirement(kind="tokens", modality="text", causal=True),
            summary="Scores of the next token, from a linear map that may be the input embedding",
        ),
        HeadSpec(
            name="last-token-classifier",
            task="text-classification",
            head="zoo.tasks.text_classification:LastTokenClassifier",
            config="zoo.tasks.head_configs:LastTokenClassifierConfig",
            requires=FeatureRequirement(kind="tokens", modality="text", causal=True),
            summary="Label scores from the last real token",
        ),
        HeadSpec(
            name="image-classifier",
            task="image-classification",
            head="zoo.tasks.image_classification:ImageClassifier",
            config="zoo.tasks.head_configs:ImageClassifierConfig",
            requires=(
                FeatureRequirement(kind="vector", modality="image"),
                FeatureRequirement(kind="map", modality="image"),
                FeatureRequirement(kind="tokens", modality="image"),
            ),
            summary="Label scores from a pooled vector, or from the mean of maps or tokens",
        ),
    ]


@hookimpl
def zoo_attention() -> list[AttentionSpec]:
    return [
        AttentionSpec(
            name="sdpa",
            backend="zoo.nn.attention:SDPA_BACKEND",
            priority=10,
            summary="torch's scaled_dot_product_attention, which picks a fused kernel where one serves",
        ),
        AttentionSpec(
            name="eager",
            backend="zoo.nn.attention:EAGER_BACKEND",
            summary="Matrix products and a softmax, step by step, as the paper writes it",
        ),
    ]


@hookimpl
def zoo_commands() -> list[CommandSpec]:
    return [
        CommandSpec(name="list", command="zoo.cli.list:command", summary="List what the installed plugins contribute"),
        CommandSpec(
            name="info",
            command="zoo.cli.info:command",
            summary="Say what an architecture, task, preset or directory is",
        ),
        CommandSpec(
            name="plugins", command="zoo.cli.plugins:command", summary="List the plugins, and what went wrong with any"
        ),
        CommandSpec(
            name="plugin", command="zoo.cli.plugin:command", summary="Write, check, disable or enable a plugin"
        ),
        CommandSpec(
            name="env", command="zoo.cli.env:command", summary="Versions, devices and plugins, for a bug report"
        ),
        CommandSpec(name="run", command="zoo.cli.run:command", summary="Run a task on inputs"),
        CommandSpec(name="chat", command="zoo.cli.chat:command", summary="Talk with a language model"),
        CommandSpec(
            name="inspect",
            command="zoo_tools.cli.inspect:command",
            summary="Say what is in a checkpoint, and whether loading it would run code",
        ),
        CommandSpec(
            name="migrate", command="zoo_tools.cli.migrate:command", summary="Convert any checkpoint to safetensors"
        ),
        CommandSpec(name="shard", command="zoo_tools.cli.shard:command", summary="Split a checkpoint into shards"),
        CommandSpec(name="merge", command="zoo_tools.cli.merge:command", summary="Join shards into one file"),
        CommandSpec(
            name="verify",
            command="zoo_tools.cli.verify:command",
            summary="Check a checkpoint, or that two hold the same tensors",
        ),
        CommandSpec(name="diff", command="zoo_tools.cli.diff:command", summary="Show how two checkpoints differ"),
    ]
