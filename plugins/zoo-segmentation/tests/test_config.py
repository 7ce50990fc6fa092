"""The configurations of heads: refusals that name the field."""

from __future__ import annotations

import pytest

from zoo import ConfigError
from zoo_segmentation.config import FPNConfig, UperNetConfig
from zoo_segmentation.stage_norms_config import StageNormsConfig


@pytest.mark.parametrize(
    ("config", "values", "field", "said"),
    [
        (UperNetConfig, {"labels": []}, "labels", "at least one"),
        (UperNetConfig, {"channels": 0}, "channels", "above 0"),
        (UperNetConfig, {"channels": 2**40}, "channels", "at most"),
        (UperNetConfig, {"pool_scales": []}, "pool_scales", "from 1 to 100 grids, found 0"),
        (UperNetConfig, {"pool_scales": [1, 0]}, "pool_scales", "above 0"),
        (UperNetConfig, {"auxiliary_convs": 0}, "auxiliary_convs", "above 0"),
        (UperNetConfig, {"auxiliary_index": 4}, "auxiliary_index", "0 to 3"),
        (UperNetConfig, {"auxiliary_loss_weight": -0.1}, "auxiliary_loss_weight", "not be negative"),
        (FPNConfig, {"branch_channels": 100}, "groups", "no multiple of 32"),
        (FPNConfig, {"channels": -1}, "channels", "above 0"),
        (StageNormsConfig, {"layer_norm_eps": 0.0}, "layer_norm_eps", "above 0"),
    ],
)
def test_a_bad_value_is_refused_by_the_name_of_its_field(config, values, field, said):
    with pytest.raises(ConfigError) as caught:
        config(**values)
    assert f"field '{field}'" in str(caught.value)
    assert said in str(caught.value)


def test_the_hubs_names_are_read_and_written():
    values = {"hidden_size": 64, "use_auxiliary_head": False, "loss_ignore_index": -100, "quirk": 1}
    config = UperNetConfig.from_hub(values)
    assert (config.channels, config.auxiliary, config.ignore_index) == (64, False, -100)
    assert config.replace(channels=32).to_hub() == values | {"hidden_size": 32}
