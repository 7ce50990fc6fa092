"""Llama in llama.cpp's GGUF: how to tell one, and its configuration from the file's metadata. Torch-free."""

from __future__ import annotations

import math
import struct
from typing import Any

from zoo.checkpoint import read_bytes
from zoo.errors import ConfigError, UnsupportedFeature
from zoo.interfaces import LayoutConfigs, ModelMetadata
from zoo.tasks.head_configs import CausalLMHeadConfig
from zoo_llama.config import LlamaConfig

__all__ = ["matches", "read_config"]

_FIELDS = {
    "embedding_length": "hidden_size",
    "feed_forward_length": "intermediate_size",
    "block_count": "num_hidden_layers",
    "attention.head_count": "num_attention_heads",
    "context_length": "max_position_embeddings",
    "attention.layer_norm_rms_epsilon": "rms_norm_eps",
}
_OPTIONAL = {
    "attention.head_count_kv": "num_key_value_heads",
    "attention.key_length": "head_dim",
    "rope.freq_base": "rope_theta",
}


def matches(metadata: ModelMetadata) -> bool:
    """A GGUF whose architecture is llama."""
    return metadata.format == "gguf" and metadata.metadata.get("general.architecture") == "llama"


def read_config(metadata: ModelMetadata) -> LayoutConfigs:
    """The configuration, as config.json would have it. The output is tied when the file has no `output.weight`."""
    values: dict[str, Any] = {"model_type": "llama", "architectures": ["LlamaForCausalLM"]}
    for theirs, ours in _FIELDS.items():
        values[ours] = _shortest(_required(metadata, f"llama.{theirs}"))
    for theirs, ours in _OPTIONAL.items():
        if f"llama.{theirs}" in metadata.metadata:
            values[ours] = _shortest(metadata.metadata[f"llama.{theirs}"])
    embedding = metadata.tensors.get("token_embd.weight")
    values["vocab_size"] = embedding.shape[0] if embedding is not None else _required(metadata, "llama.vocab_size")
    values["tie_word_embeddings"] = "output.weight" not in metadata.tensors
    values["attention_bias"] = "blk.0.attn_q.bias" in metadata.tensors
    values["mlp_bias"] = "blk.0.ffn_up.bias" in metadata.tensors
    for token in ("bos", "eos", "padding"):
        number = metadata.metadata.get(f"tokenizer.ggml.{token}_token_id")
        if number is not None:
            values[f"{'pad' if token == 'padding' else token}_token_id"] = number
    if metadata.metadata.get("llama.expert_count", 0):
        raise UnsupportedFeature(f"{metadata.location}: this is a mixture of experts, which 'llama' is not.")
    rope = _rope_parameters(metadata, values)
    values["rope_parameters"] = rope | {"rope_theta": values.pop("rope_theta", 10000.0)}
    config = LlamaConfig.from_hub(values)
    head = CausalLMHeadConfig(vocab_size=config.vocab_size, tied=config.tie_word_embeddings)
    return LayoutConfigs(architecture=config, head=head)


def _required(metadata: ModelMetadata, key: str) -> Any:
    value = metadata.metadata.get(key)
    if value is None:
        raise ConfigError(f"{metadata.location}: the metadata has no '{key}', which a Llama needs.")
    return value


def _shortest(value: Any) -> Any:
    """A float as the shortest decimal of the same float32, in which GGUF stores it: 1e-05, not
    9.999999747378752e-06.
    """
    if not isinstance(value, float) or not math.isfinite(value):
        return value
    stored = struct.pack("<f", value)
    return next(
        (short for digits in range(6, 10) if struct.pack("<f", short := float(f"{value:.{digits}g}")) == stored), value
    )


def _rope_parameters(metadata: ModelMetadata, values: dict[str, Any]) -> dict[str, Any]:
    factors = metadata.tensors.get("rope_freqs.weight")
    if factors is not None:
        return _llama3(metadata, b"".join(bytes(chunk) for chunk in read_bytes(factors)), values)
    scaling = metadata.metadata.get("llama.rope.scaling.type", "none")
    factor = metadata.metadata.get("llama.rope.scaling.factor")
    if factor is None:
        factor = metadata.metadata.get("llama.rope.scale_linear")
        scaling = "none" if factor is None else "linear"
    if scaling == "none" or factor in (None, 0.0, 1.0):
        return {"rope_type": "default"}
    if scaling != "linear":
        raise UnsupportedFeature(
            f"{metadata.location}: rope scaling '{scaling}' is not read; known are none, linear and llama3."
        )
    return {"rope_type": "linear", "factor": factor}


def _llama3(metadata: ModelMetadata, content: bytes, values: dict[str, Any]) -> dict[str, Any]:
    """GGUF keeps Llama 3.1's scaling as one divisor per frequency.

    The parameters are found back and proven on every divisor.
    """
    divisors = struct.unpack(f"<{len(content) // 4}f", content)
    theta = values.get("rope_theta", 10000.0)
    parameters = {
        "rope_type": "llama3",
        "factor": max(divisors),
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    }
    for index, divisor in enumerate(divisors):
        turns = 8192 * theta ** (-index / len(divisors)) / (2 * math.pi)
        keep = min(max((turns - 1.0) / 3.0, 0.0), 1.0)
        expected = 1 / (keep + (1 - keep) / parameters["factor"])
        if not math.isclose(divisor, expected, rel_tol=1e-3):
            raise UnsupportedFeature(
                f"{metadata.location}: tensor 'rope_freqs.weight' holds {divisor:.6g} at {index}, where Llama 3.1's "
                f"scaling has {expected:.6g}; other scalings can't be read from a GGUF."
            )
    return parameters
