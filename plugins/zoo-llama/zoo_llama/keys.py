"""How Llama's tensors are called on disk."""

from __future__ import annotations

from zoo.interfaces import LayoutConfigs
from zoo.weights.key_map import Ignore, KeyMap, Rule
from zoo.weights.operations import RENAME, Operation, PermuteRotary
from zoo_llama.config import LlamaConfig

__all__ = ["BACKBONE", "CAUSAL_LM", "SEQUENCE_CLASSIFICATION", "gguf"]

_LAYER = (
    "input_layernorm.weight",
    "self_attn.q_proj.weight",
    "self_attn.q_proj.bias",
    "self_attn.k_proj.weight",
    "self_attn.k_proj.bias",
    "self_attn.v_proj.weight",
    "self_attn.v_proj.bias",
    "self_attn.o_proj.weight",
    "self_attn.o_proj.bias",
    "post_attention_layernorm.weight",
    "mlp.gate_proj.weight",
    "mlp.gate_proj.bias",
    "mlp.up_proj.weight",
    "mlp.up_proj.bias",
    "mlp.down_proj.weight",
    "mlp.down_proj.bias",
)

_OURS = KeyMap(
    tuple(
        Rule(name, name)
        for name in ("embed_tokens.weight", *(f"layers.{{i}}.{part}" for part in _LAYER), "norm.weight")
    ),
    ignored=tuple(
        Ignore(name, "the rotary frequencies are computed from the configuration")
        for name in ("layers.{i}.self_attn.rotary_emb.inv_freq", "rotary_emb.inv_freq")
    ),
)

BACKBONE = _OURS.prefixed(model="backbone.")
"""LlamaModel of the Hub."""

CAUSAL_LM = _OURS.prefixed(stored="model.", model="backbone.") + KeyMap((Rule("lm_head.weight", "head.weight"),))
"""LlamaForCausalLM of the Hub."""

SEQUENCE_CLASSIFICATION = _OURS.prefixed(stored="model.", model="backbone.") + KeyMap(
    (Rule("score.weight", "head.weight"),)
)
"""LlamaForSequenceClassification of the Hub."""


def gguf(configs: LayoutConfigs) -> KeyMap:
    """llama.cpp's names. It keeps the rows of q and k in the original Llama's order, rotated pairs side by side."""
    config = configs.architecture
    assert isinstance(config, LlamaConfig)
    queries, keys = PermuteRotary(config.num_attention_heads), PermuteRotary(config.key_value_heads)
    layer: dict[str, tuple[str, Operation]] = {
        "attn_norm.weight": ("input_layernorm.weight", RENAME),
        "ffn_norm.weight": ("post_attention_layernorm.weight", RENAME),
    }
    for theirs, ours, operation in (
        ("attn_q", "self_attn.q_proj", queries),
        ("attn_k", "self_attn.k_proj", keys),
        ("attn_v", "self_attn.v_proj", RENAME),
        ("attn_output", "self_attn.o_proj", RENAME),
        ("ffn_gate", "mlp.gate_proj", RENAME),
        ("ffn_up", "mlp.up_proj", RENAME),
        ("ffn_down", "mlp.down_proj", RENAME),
    ):
        for kind in ("weight", "bias"):
            layer[f"{theirs}.{kind}"] = (f"{ours}.{kind}", operation)
    return KeyMap(
        (
            Rule("token_embd.weight", "backbone.embed_tokens.weight"),
            *(
                Rule(f"blk.{{i}}.{theirs}", f"backbone.layers.{{i}}.{ours}", operation)
                for theirs, (ours, operation) in layer.items()
            ),
            Rule("output_norm.weight", "backbone.norm.weight"),
            Rule("output.weight", "head.weight"),
        ),
        ignored=(
            Ignore("rope_freqs.weight", "the rotary frequencies are computed from the configuration"),
            Ignore("blk.{i}.attn_rot_embd", "the rotary frequencies are computed from the configuration"),
        ),
    )
