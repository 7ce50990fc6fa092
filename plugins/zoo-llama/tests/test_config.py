"""The configuration: the Hub's spellings, and refusals that name the field."""

from __future__ import annotations

import pytest
import transformers

from zoo import ConfigError
from zoo.interfaces import ModelMetadata
from zoo_llama.config import LlamaConfig
from zoo_llama.layouts import read_classification

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
    config = LlamaConfig(
        hidden_size=64, num_attention_heads=4, num_key_value_heads=2, vocab_size=77, bos_token_id=1, eos_token_id=[2, 3]
    )
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
        ({"rope_parameters": {"rope_type": "dynamic", "factor": 1e200}}, "rope_parameters", "'factor': must be"),
        (
            {"rope_parameters": {"rope_type": "llama3", **LLAMA3, "original_max_position_embeddings": 2**31}},
            "original_max_position_embeddings",
            "at most",
        ),
        ({"max_position_embeddings": 2**31}, "max_position_embeddings", "at most"),
        ({"vocab_size": 10**17}, "vocab_size", "at most"),
        ({"head_dim": 2, "rope_scaling": {"type": "dynamic", "factor": 2.0}}, "head_dim", "'dynamic'"),
        ({"rope_scaling": [10**5000]}, "rope_scaling", "expected an object or null, found list"),
        ({"pad_token_id": "x"}, "pad_token_id", "expected int or null, found str 'x'"),
        ({"bos_token_id": 1.5}, "bos_token_id", "expected int or null"),
        ({"eos_token_id": ["x"]}, "eos_token_id", "expected int or a list of int or null, found list ['x']"),
        ({"eos_token_id": [2, -1]}, "eos_token_id", "not negative"),
        ({"eos_token_id": -2}, "eos_token_id", "not negative"),
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


@pytest.mark.parametrize(
    "field",
    [
        "rms_norm_eps",
        "initializer_range",
        "rope_theta",
        "max_position_embeddings",
        "factor",
        "low_freq_factor",
        "high_freq_factor",
        "original_max_position_embeddings",
        "partial_rotary_factor",
    ],
)
def test_a_number_that_nothing_holds_is_refused_by_the_name_of_its_field(field):
    scaling = {"rope_type": "llama3", **LLAMA3}
    values = {"rope_scaling": scaling}
    (scaling if field in LLAMA3 or field == "partial_rotary_factor" else values)[field] = 10**400
    with pytest.raises(ConfigError, match=f"field '{field}': expected"):
        LlamaConfig.from_hub(values)


def test_no_token_may_be_written_as_in_early_files():
    read = LlamaConfig.from_hub({"pad_token_id": -1, "bos_token_id": 0, "eos_token_id": None})
    assert (read.pad_token_id, read.bos_token_id, read.eos_token_id) == (-1, 0, None)


@pytest.mark.parametrize("count", [0, -1, True, "3", 1_000_001, 10**400])
def test_a_count_of_labels_that_no_head_has_is_refused(count):
    config = {"model_type": "llama", "num_labels": count}
    with pytest.raises(ConfigError, match="field 'num_labels': expected an int from 1 to 1000000, found"):
        read_classification(ModelMetadata(format="safetensors", location="(test)", config=config))
