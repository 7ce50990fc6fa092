"""The configuration: the Hub's spellings, and refusals that name the field."""

from __future__ import annotations

import pytest
import transformers

from zoo import ConfigError
from zoo_llama.config import LlamaConfig

LLAMA3 = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}


def test_the_old_and_the_new_spelling_of_rope_mean_the_same():
    old = LlamaConfig.from_hub({"rope_theta": 5e5, "rope_scaling": {"rope_type": "llama3", **LLAMA3}})
    new = LlamaConfig.from_hub({"rope_parameters": {"rope_theta": 5e5, "rope_type": "llama3", **LLAMA3}})
    assert old == new
    assert (new.rope.rope_type, new.rope.rope_theta, new.rope.factor) == ("llama3", 5e5, 8.0)


def test_the_oldest_spelling_says_type():
    config = LlamaConfig.from_hub({"rope_scaling": {"type": "linear", "factor": 2}})
    assert (config.rope.rope_type, config.rope.factor) == ("linear", 2.0)


def test_null_rope_scaling_is_none():
    assert LlamaConfig.from_hub({"rope_scaling": None, "rope_theta": 1e4}).rope.rope_type == "default"


@pytest.mark.parametrize(
    "values",
    [
        {
            "model_type": "llama",
            "hidden_size": 64,
            "num_attention_heads": 4,
            "rope_scaling": None,
            "rope_theta": 1e4,
            "torch_dtype": "float16",
        },
        {
            "model_type": "llama",
            "rope_parameters": {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1e4},
            "dtype": "bfloat16",
        },
        {"rope_scaling": {"type": "linear", "factor": 2.0, "note": "kept"}, "pretraining_tp": 1, "quirk": {"a": [1]}},
    ],
)
def test_reading_and_writing_loses_nothing(values):
    assert LlamaConfig.from_hub(values).to_hub() == values


def test_a_changed_field_is_written_and_the_rest_stays_as_it_was():
    read = LlamaConfig.from_hub({"hidden_size": 64, "num_attention_heads": 4, "rope_theta": 1e4, "quirk": 1})
    written = read.replace(hidden_size=128).to_hub()
    assert written == {"hidden_size": 128, "num_attention_heads": 4, "rope_theta": 1e4, "quirk": 1}
    rope = read.rope.replace(rope_theta=2e4)
    rewritten = read.replace(rope=rope).to_hub()
    assert "rope_theta" not in rewritten
    assert rewritten["rope_parameters"]["rope_theta"] == 2e4


def test_transformers_reads_what_a_fresh_configuration_writes():
    config = LlamaConfig(hidden_size=64, num_attention_heads=4, num_key_value_heads=2, vocab_size=77)
    theirs = transformers.LlamaConfig(**config.to_hub())
    assert (theirs.hidden_size, theirs.num_key_value_heads, theirs.vocab_size) == (64, 2, 77)
    assert theirs.rope_parameters["rope_theta"] == 10000.0
    assert LlamaConfig.from_hub(theirs.to_dict()).replace(head_dim=None, hub={}) == config.replace(hub={})


@pytest.mark.parametrize(
    ("values", "field", "said"),
    [
        ({"hidden_size": "64"}, "hidden_size", "expected int, found str '64'"),
        ({"hidden_size": 64.0}, "hidden_size", "expected int, found float"),
        ({"num_hidden_layers": True}, "num_hidden_layers", "expected int, found bool"),
        ({"num_hidden_layers": 0}, "num_hidden_layers", "above 0"),
        ({"vocab_size": -5}, "vocab_size", "above 0"),
        ({"rms_norm_eps": None}, "rms_norm_eps", "expected float, found NoneType"),
        ({"rms_norm_eps": float("nan")}, "rms_norm_eps", "expected float"),
        ({"hidden_act": "swishy"}, "hidden_act", "one of 'silu'"),
        ({"hidden_size": 30, "num_attention_heads": 4}, "hidden_size", "multiple of num_attention_heads"),
        (
            {"num_attention_heads": 4, "hidden_size": 64, "num_key_value_heads": 3},
            "num_key_value_heads",
            "does not divide",
        ),
        ({"num_key_value_heads": 0}, "num_key_value_heads", "above 0"),
        ({"head_dim": 7}, "head_dim", "even"),
        ({"attention_bias": 1}, "attention_bias", "expected bool"),
        ({"rope_scaling": "linear"}, "rope_scaling", "expected an object"),
        ({"rope_scaling": {"type": "yarn", "factor": 2.0}}, "rope_scaling", "one of 'default'"),
        ({"rope_scaling": {"type": "linear"}}, "rope_scaling", "'factor': is missing"),
        ({"rope_parameters": {"rope_type": "linear", "factor": 0.5}}, "rope_parameters", "at least 1"),
        (
            {"rope_parameters": {"rope_type": "llama3", "factor": 8.0}},
            "rope_parameters",
            "'low_freq_factor': is missing",
        ),
        ({"rope_theta": -1.0}, "rope", "above 0"),
        ({"rope_parameters": {"rope_type": "default", "partial_rotary_factor": 0.5}}, "rope_parameters", "not Llama"),
    ],
)
def test_a_bad_value_is_refused_by_the_name_of_its_field(values, field, said):
    with pytest.raises(ConfigError) as caught:
        LlamaConfig.from_hub(values)
    assert field in str(caught.value)
    assert said in str(caught.value)
