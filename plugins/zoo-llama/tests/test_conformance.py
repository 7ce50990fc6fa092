"""Llama keeps what every architecture promises."""

from __future__ import annotations

from zoo.testing import ArchitectureConformance

TINY = {
    "vocab_size": 99,
    "hidden_size": 32,
    "intermediate_size": 56,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 32,
    "attention_bias": True,
    "mlp_bias": True,
    "rope_parameters": {"rope_type": "default", "rope_theta": 500.0},
}
CAPABILITIES = {"attention_backends", "cache", "compile", "export", "padding_invariant"}


class TestLlama(ArchitectureConformance):
    architecture = "llama"
    tiny = TINY
    reference = "transformers:LlamaModel"
    capabilities = CAPABILITIES
