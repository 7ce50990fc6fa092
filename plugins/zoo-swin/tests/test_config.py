"""The configurations: the Hub's, without loss, refusals that name the field, and what the backbone gives."""

from __future__ import annotations

import pytest
import transformers

from zoo import ConfigError
from zoo.registry import registry, resolve_object
from zoo_swin.config import SwinConfig, SwinV2Config
from zoo_swin.presets import PRESETS


@pytest.mark.parametrize(
    "values",
    [
        {"model_type": "swin", "depths": [2, 2], "num_heads": [2, 4], "embed_dim": 8, "path_norm": True, "quirk": [1]},
        {"image_size": [192, 256], "patch_size": [4, 4], "torch_dtype": "float16"},
        {"mlp_ratio": 4, "drop_path_rate": 0, "out_features": ["stage1"], "encoder_stride": 32},
    ],
)
@pytest.mark.parametrize("config", [SwinConfig, SwinV2Config])
def test_reading_and_writing_loses_nothing(config, values):
    assert config.from_hub(values).to_hub() == values


def test_what_only_zoo_knows_is_not_written_where_it_says_nothing():
    values = {"embed_dim": 24}
    assert SwinConfig.from_hub(values).replace(dense=True).to_hub() == {"embed_dim": 24, "dense": True}
    assert "dense" not in SwinConfig().to_hub()


def test_transformers_reads_what_a_fresh_configuration_writes():
    theirs = transformers.Swinv2Config(**SwinV2Config(embed_dim=24, window_size=5, depths=(1, 2, 3, 4)).to_hub())
    assert (theirs.embed_dim, theirs.window_size, theirs.depths) == (24, 5, [1, 2, 3, 4])
    assert SwinV2Config.from_hub(theirs.to_dict()) == SwinV2Config(embed_dim=24, window_size=5, depths=(1, 2, 3, 4))


def test_features_are_maps_and_a_vector_or_the_maps_alone():
    specs = SwinConfig().feature_specs()
    assert [(spec.kind, spec.channels, spec.stride) for spec in specs] == [
        ("map", 96, 4),
        ("map", 192, 8),
        ("map", 384, 16),
        ("map", 768, 32),
        ("vector", 768, None),
    ]
    assert [spec.kind for spec in SwinConfig(dense=True).feature_specs()] == ["map"] * 4


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
def test_every_preset_has_a_configuration(preset):
    entry = registry().architectures.get(preset.architecture)
    config = resolve_object(entry.spec.config).from_hub(preset.config)
    assert f"window{preset.config['window_size']}" in preset.name.replace("window12to", "window")
    assert config.grid == (preset.config["image_size"] // 4,) * 2


@pytest.mark.parametrize(
    ("values", "field", "said"),
    [
        ({"embed_dim": "96"}, "embed_dim", "expected int, found str"),
        ({"embed_dim": 0}, "embed_dim", "above 0"),
        ({"depths": []}, "depths", "from 1 to 12 stages"),
        ({"depths": [2, 2, 0, 2]}, "depths", "above 0, found 0"),
        ({"depths": [2, 2, 2000, 2]}, "depths", "at most 1000"),
        ({"depths": 4}, "depths", "a list of int"),
        ({"num_heads": [3, 6]}, "num_heads", "one number per stage"),
        ({"num_heads": [3, 6, 12, 25]}, "num_heads", "stage 3 has 768 channels, no multiple of its 25 heads"),
        ({"window_size": 0}, "window_size", "above 0"),
        ({"window_size": 10**6}, "window_size", "at most 256"),
        ({"mlp_ratio": -1.0}, "mlp_ratio", "above 0"),
        ({"mlp_ratio": 0.001}, "mlp_ratio", "leaves no channels"),
        ({"drop_path_rate": 1.0}, "drop_path_rate", "below 1"),
        ({"hidden_dropout_prob": -0.1}, "hidden_dropout_prob", "from 0"),
        ({"hidden_act": "swishy"}, "hidden_act", "one of 'gelu'"),
        ({"layer_norm_eps": 0.0}, "layer_norm_eps", "above 0"),
        ({"image_size": 3}, "image_size", "smaller than a patch"),
        ({"image_size": [224, 224, 3]}, "image_size", "expected int or"),
        ({"patch_size": [4, 2]}, "patch_size", "must be square"),
        ({"qkv_bias": 1}, "qkv_bias", "expected bool"),
        ({"initializer_range": -0.1}, "initializer_range", "not be negative"),
    ],
)
@pytest.mark.parametrize("config", [SwinConfig, SwinV2Config])
def test_a_bad_value_is_refused_by_the_name_of_its_field(config, values, field, said):
    with pytest.raises(ConfigError) as caught:
        config.from_hub(values)
    assert f"field '{field}'" in str(caught.value)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("values", "field", "said"),
    [
        ({"use_absolute_embeddings": True}, "use_absolute_embeddings", "never published"),
        ({"pretrained_window_sizes": [8]}, "pretrained_window_sizes", "one number per stage"),
        ({"pretrained_window_sizes": [1, 0, 0, 0]}, "pretrained_window_sizes", "0 or from 2"),
        ({"image_size": 16}, "image_size", "leaves stage 3 of 4 without a position"),
    ],
)
def test_what_v2_alone_refuses(values, field, said):
    with pytest.raises(ConfigError) as caught:
        SwinV2Config.from_hub(values)
    assert f"field '{field}'" in str(caught.value)
    assert said in str(caught.value)
