"""The native Llama against transformers' on random, shaken weights."""

from __future__ import annotations

import pytest
import torch
import transformers

from zoo.nn.attention import bind_attention
from zoo.testing import assert_logits_agree, shake
from zoo_llama.config import LlamaConfig
from zoo_llama.model import Llama

ROPES = {
    "default": {"rope_type": "default"},
    "linear": {"rope_type": "linear", "factor": 2.5},
    "dynamic": {"rope_type": "dynamic", "factor": 3.0},
    "llama3": {
        "rope_type": "llama3",
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 16,
    },
}


def reference_config(**changes):
    values = {
        "vocab_size": 99,
        "hidden_size": 32,
        "intermediate_size": 56,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 32,
        "rope_parameters": {"rope_type": "default", "rope_theta": 500.0},
    }
    return transformers.LlamaConfig(**(values | changes))


def pair(config, dtype=torch.float32):
    """transformers' model and ours, with the same shaken weights."""
    torch.manual_seed(0)
    reference = transformers.LlamaModel(config).eval()
    shake(reference)
    ours = Llama(LlamaConfig.from_hub(config.to_dict())).eval()
    ours.load_state_dict(reference.state_dict())
    return reference.to(dtype), ours.to(dtype)


@pytest.mark.parametrize("rope", ROPES)
@pytest.mark.parametrize("length", [1, 20, 75])
def test_hidden_states_agree_for_every_rope_scaling_within_and_past_the_context(rope, length):
    reference, ours = pair(reference_config(rope_parameters={**ROPES[rope], "rope_theta": 500.0}))
    ids = torch.randint(99, (2, length), generator=torch.Generator().manual_seed(length))
    with torch.inference_mode():
        assert_logits_agree(ours(ids).tokens, reference(ids).last_hidden_state, 1e-5)


@pytest.mark.parametrize("heads", [(4, 1), (4, 2), (4, 4), (6, 3)])
@pytest.mark.parametrize("biases", [False, True])
def test_hidden_states_agree_for_grouped_heads_and_biases(heads, biases):
    config = reference_config(
        hidden_size=48,
        num_attention_heads=heads[0],
        num_key_value_heads=heads[1],
        attention_bias=biases,
        mlp_bias=biases,
    )
    reference, ours = pair(config)
    ids = torch.randint(99, (3, 17), generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        assert_logits_agree(ours(ids).tokens, reference(ids).last_hidden_state, 1e-5)


def test_head_dim_may_differ_from_hidden_size_over_heads():
    reference, ours = pair(reference_config(head_dim=12))
    ids = torch.arange(10)[None]
    with torch.inference_mode():
        assert_logits_agree(ours(ids).tokens, reference(ids).last_hidden_state, 1e-5)


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_does_not_change_the_real_tokens(side):
    _, ours = pair(reference_config())
    ids = torch.randint(99, (1, 9), generator=torch.Generator().manual_seed(2))
    padding = torch.zeros(1, 5, dtype=torch.long)
    padded = torch.cat((padding, ids) if side == "left" else (ids, padding), dim=1)
    real = torch.cat((padding, ids + 1) if side == "left" else (ids + 1, padding), dim=1) > 0
    with torch.inference_mode():
        alone = ours(ids).tokens
        batched = ours(padded, real).tokens[real][None]
    assert_logits_agree(batched, alone, 1e-5)


@pytest.mark.parametrize("rope", ROPES)
def test_hidden_states_agree_whatever_the_mask(rope):
    """A hole in a text takes up positions; so does padding, which matters only where they stretch the context."""
    reference, ours = pair(reference_config(rope_parameters={**ROPES[rope], "rope_theta": 500.0}))
    ids = torch.randint(99, (3, 40), generator=torch.Generator().manual_seed(4))
    real = torch.ones_like(ids)
    real[0, 10:15] = 0
    real[1, :12] = 0
    real[2, 35:] = 0
    with torch.inference_mode():
        expected = reference(ids, attention_mask=real).last_hidden_state
        assert_logits_agree(ours(ids, real).tokens * real[..., None], expected * real[..., None], 1e-5)


def test_attention_backends_agree():
    _, ours = pair(reference_config())
    ids = torch.randint(99, (2, 12), generator=torch.Generator().manual_seed(3))
    real = torch.ones(2, 12)
    real[0, :4] = 0
    with torch.inference_mode():
        results = []
        for backend in ("sdpa", "eager"):
            bind_attention(ours, backend)
            results.append((ours(ids).tokens, ours(ids, real).tokens * real[..., None]))
    assert_logits_agree(results[0][0], results[1][0], 1e-5)
    assert_logits_agree(results[0][1], results[1][1], 1e-5)


def test_the_rotary_frequencies_stay_exact_through_a_cast():
    reference, ours = pair(reference_config(), torch.bfloat16)
    frequencies = ours.rotary.inverse_frequencies
    assert frequencies.dtype == torch.float32
    assert torch.equal(frequencies, Llama(ours.config).rotary.inverse_frequencies)
    ids = torch.arange(30)[None]
    with torch.inference_mode():
        assert_logits_agree(ours(ids).tokens, reference(ids).last_hidden_state, 0.05)


def test_gradients_reach_every_parameter_and_agree():
    reference, ours = pair(reference_config(attention_bias=True, mlp_bias=True), torch.float64)
    ids = torch.arange(12)[None]
    ours(ids).tokens.square().sum().backward()
    reference(ids).last_hidden_state.square().sum().backward()
    expected = dict(reference.named_parameters())
    for name, parameter in ours.named_parameters():
        assert parameter.grad is not None, name
        torch.testing.assert_close(parameter.grad, expected[name].grad, rtol=1e-6, atol=1e-6)


def test_the_model_compiles_as_one_graph():
    _, ours = pair(reference_config())
    ids = torch.arange(8)[None]
    compiled = torch.compile(ours, fullgraph=True, backend="eager")
    with torch.inference_mode():
        torch.testing.assert_close(compiled(ids).tokens, ours(ids).tokens)
