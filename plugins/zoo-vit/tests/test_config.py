"""The configurations: the Hub's, without loss, refusals that name the field, and what the backbone gives."""

from __future__ import annotations

import pytest
import transformers

from zoo import ConfigError
from zoo.registry import registry, resolve_object
from zoo_vit.config import DeiTConfig, Dinov2Config, ViTConfig
from zoo_vit.presets import PRESETS


@pytest.mark.parametrize(
    "values",
    [
        {"hidden_size": 24, "num_attention_heads": 3, "quirk": [1], "pooler_output_size": 24},
        {"image_size": [192, 256], "patch_size": [16, 16], "torch_dtype": "float16"},
        {"mlp_ratio": 4, "drop_path_rate": 0, "out_features": ["stage1"], "num_register_tokens": 0},
    ],
)
@pytest.mark.parametrize("config", [ViTConfig, DeiTConfig, Dinov2Config])
def test_reading_and_writing_loses_nothing(config, values):
    assert config.from_hub(values).to_hub() == values


def test_transformers_reads_what_a_fresh_configuration_writes():
    ours = Dinov2Config(hidden_size=24, num_attention_heads=4, use_swiglu_ffn=True, drop_path_rate=0.25)
    theirs = transformers.Dinov2Config(**ours.to_hub())
    assert (theirs.hidden_size, theirs.use_swiglu_ffn, theirs.drop_path_rate) == (24, True, 0.25)
    assert Dinov2Config.from_hub(theirs.to_dict()) == ours
    assert "num_register_tokens" not in ours.to_hub()
    assert ViTConfig.from_hub(transformers.ViTConfig().to_dict()) == ViTConfig(pooler_output_size=768)


def test_what_registers_come_with_where_a_file_says_nothing_else():
    config = Dinov2Config.from_hub({"model_type": "dinov2_with_registers"})
    theirs = transformers.Dinov2WithRegistersConfig()
    assert (config.num_register_tokens, config.patch_size) == (theirs.num_register_tokens, theirs.patch_size)


@pytest.mark.parametrize(
    ("config", "prefix"),
    [
        (ViTConfig(), 1),
        (DeiTConfig(), 2),
        (Dinov2Config(), 1),
        (Dinov2Config(model_type="dinov2_with_registers", num_register_tokens=4), 5),
    ],
)
def test_features_are_the_tokens_and_the_class_token(config, prefix):
    tokens, vector = config.feature_specs()
    assert (tokens.kind, tokens.channels, tokens.stride, tokens.prefix_tokens) == ("tokens", 768, config.patch, prefix)
    assert (vector.kind, vector.channels) == ("vector", 768)
    assert not tokens.causal


def test_a_swiglu_has_as_many_weights_as_a_plain_network():
    giant = Dinov2Config(hidden_size=1536, num_attention_heads=24, use_swiglu_ffn=True)
    assert giant.mlp_channels == 4096
    assert Dinov2Config(hidden_size=1536, num_attention_heads=24).mlp_channels == 6144


def test_drop_path_rises_with_depth_except_in_dinov2():
    assert ViTConfig(num_hidden_layers=3, drop_path_rate=0.2).drop_path_rates() == [0.0, 0.1, 0.2]
    assert Dinov2Config(num_hidden_layers=3, drop_path_rate=0.2).drop_path_rates() == [0.2, 0.2, 0.2]


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
def test_every_preset_has_a_configuration_that_its_architecture_takes(preset):
    entry = registry().architectures.get(preset.architecture)
    config = resolve_object(entry.spec.config).from_hub(preset.config)
    assert preset.config["model_type"] in entry.spec.model_types
    assert config.hub_type == preset.config["model_type"]
    if "patch" in preset.name:
        assert f"patch{config.patch}-{config.image_size}" in preset.name


@pytest.mark.parametrize(
    ("values", "field", "said"),
    [
        ({"hidden_size": "96"}, "hidden_size", "expected int, found str"),
        ({"hidden_size": 0}, "hidden_size", "above 0"),
        ({"hidden_size": 2**30}, "hidden_size", "at most"),
        ({"num_hidden_layers": 0}, "num_hidden_layers", "above 0"),
        ({"num_hidden_layers": 10**6}, "num_hidden_layers", "at most 1000"),
        ({"num_attention_heads": 7}, "num_attention_heads", "can't share the 768 channels"),
        ({"num_attention_heads": 0}, "num_attention_heads", "above 0"),
        ({"hidden_dropout_prob": 1.0}, "hidden_dropout_prob", "below 1"),
        ({"attention_probs_dropout_prob": -0.1}, "attention_probs_dropout_prob", "from 0"),
        ({"hidden_act": "swishy"}, "hidden_act", "one of 'gelu'"),
        ({"layer_norm_eps": 0.0}, "layer_norm_eps", "above 0"),
        ({"image_size": 3}, "image_size", "smaller than a patch"),
        ({"image_size": [224, 224, 3]}, "image_size", "expected int or"),
        ({"image_size": -224}, "image_size", "above 0"),
        ({"patch_size": [16, 8]}, "patch_size", "must be square"),
        ({"patch_size": 0}, "patch_size", "above 0"),
        ({"num_channels": 2.5}, "num_channels", "expected int"),
        ({"qkv_bias": 1}, "qkv_bias", "expected bool"),
        ({"initializer_range": -0.1}, "initializer_range", "not be negative"),
    ],
)
@pytest.mark.parametrize("config", [ViTConfig, DeiTConfig, Dinov2Config])
def test_a_bad_value_is_refused_by_the_name_of_its_field(config, values, field, said):
    with pytest.raises(ConfigError) as caught:
        config.from_hub(values)
    assert f"field '{field}'" in str(caught.value)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("config", "values", "field", "said"),
    [
        (ViTConfig, {"intermediate_size": 0}, "intermediate_size", "above 0"),
        (ViTConfig, {"pooler_output_size": -1}, "pooler_output_size", "above 0"),
        (ViTConfig, {"pooler_act": "swishy"}, "pooler_act", "one of"),
        (DeiTConfig, {"intermediate_size": 2**40}, "intermediate_size", "at most"),
        (Dinov2Config, {"mlp_ratio": 0}, "mlp_ratio", "above 0"),
        (Dinov2Config, {"mlp_ratio": 1e-6}, "mlp_ratio", "leaves no channels"),
        (Dinov2Config, {"model_type": "dinov3"}, "model_type", "one of 'dinov2'"),
        (Dinov2Config, {"num_register_tokens": 4}, "num_register_tokens", "model_type is 'dinov2'"),
        (
            Dinov2Config,
            {"model_type": "dinov2_with_registers", "num_register_tokens": -1},
            "num_register_tokens",
            "from 0",
        ),
    ],
)
def test_what_each_alone_refuses(config, values, field, said):
    with pytest.raises(ConfigError) as caught:
        config.from_hub(values)
    assert f"field '{field}'" in str(caught.value)
    assert said in str(caught.value)
