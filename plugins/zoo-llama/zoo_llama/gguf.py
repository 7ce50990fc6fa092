"""Llama in llama.cpp's GGUF: how to tell one, and its configuration from the file's metadata. Torch-free."""

from __future__ import annotations

import math
import struct
from typing import Any

from zoo.checkpoint import DType, TensorRecord, read_bytes
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
    values["vocab_size"] = _vocab_size(metadata)
    values["tie_word_embeddings"] = "output.weight" not in metadata.tensors
    values["attention_bias"] = "blk.0.attn_q.bias" in metadata.tensors
    values["mlp_bias"] = "blk.0.ffn_up.bias" in metadata.tensors
    for token in ("bos", "eos", "padding"):
        number = metadata.metadata.get(f"tokenizer.ggml.{token}_token_id")
        if number is not None:
            values[f"{'pad' if token == 'padding' else token}_token_id"] = number
    if metadata.metadata.get("llama.expert_count", 0):
        raise UnsupportedFeature(f"{metadata.location}: this is a mixture of experts, which 'llama' is not.")
    values["rope_parameters"] = _rope_parameters(metadata) | {"rope_theta": values.pop("rope_theta", 10000.0)}
    config = LlamaConfig.from_hub(values)
    divisors = metadata.tensors.get("rope_freqs.weight")
    if divisors is not None:
        scaling = _llama3(metadata, _divisors(metadata, divisors, config), config.rope.rope_theta)
        config = LlamaConfig.from_hub(values | {"rope_parameters": values["rope_parameters"] | scaling})
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


def _vocab_size(metadata: ModelMetadata) -> Any:
    embedding = metadata.tensors.get("token_embd.weight")
    if embedding is None:
        return _required(metadata, "llama.vocab_size")
    if len(embedding.shape) != 2:
        raise ConfigError(
            f"{metadata.location}: tensor 'token_embd.weight' has the shape {list(embedding.shape)}; "
            "[vocabulary, channels] was expected."
        )
    return embedding.shape[0]


def _rope_parameters(metadata: ModelMetadata) -> dict[str, Any]:
    if "rope_freqs.weight" in metadata.tensors:
        return {"rope_type": "default"}  # which that tensor will replace
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


def _divisors(metadata: ModelMetadata, record: TensorRecord, config: LlamaConfig) -> tuple[float, ...]:
    """The values of the only tensor that is read for a configuration, checked first: it is to be as small as this."""
    expected = (config.head_width // 2,)
    if record.dtype is not DType.F32 or record.shape != expected:
        raise ConfigError(
            f"{metadata.location}: tensor 'rope_freqs.weight' is {record.dtype.name} of shape {list(record.shape)}; "
            f"F32 of shape {list(expected)}, one for each pair of channels of a head, was expected."
        )
    content = b"".join(bytes(chunk) for chunk in read_bytes(record))
    values = struct.unpack(f"<{expected[0]}f", content)
    for index, value in enumerate(values):
        if not (math.isfinite(value) and value > 0):
            raise ConfigError(
                f"{metadata.location}: tensor 'rope_freqs.weight' holds {value} at {index}; divisors are above 0."
            )
    return values


def _llama3(metadata: ModelMetadata, divisors: tuple[float, ...], theta: float) -> dict[str, Any]:
    """GGUF keeps Llama 3.1's scaling as one divisor per frequency.

    The parameters are found back and proven on every divisor.
    """
    parameters = {
        "rope_type": "llama3",
        "factor": max(divisors),
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    }
    for index, divisor in enumerate(divisors):
        turns = 8192 / theta ** (index / len(divisors)) / (2 * math.pi)
        keep = min(max((turns - 1.0) / 3.0, 0.0), 1.0)
        expected = 1 / (keep + (1 - keep) / parameters["factor"])
        if not math.isclose(divisor, expected, rel_tol=1e-3):
            raise UnsupportedFeature(
                f"{metadata.location}: tensor 'rope_freqs.weight' holds {divisor:.6g} at {index}, where Llama 3.1's "
                f"scaling has {expected:.6g}; other scalings can't be read from a GGUF."
            )
    return parameters
