"""For each check of heads a head with one thing wrong, which that check catches and says, and no other does."""

from __future__ import annotations

import pytest
import torch

from zoo.interfaces import FeatureSpec
from zoo.testing import HeadConformance

SLOW = frozenset({"test_manifest_loads_in_a_fresh_process_without_torch"})
LABELS = {"labels": ["a", "b", "c"], "temperature": 2.0}
TINY = {"width": 16}


class PatchScores(HeadConformance):
    head = "patch-scores"
    head_config = LABELS
    architecture = "patches"
    tiny = TINY

    def target(self, batch, size):
        return torch.arange(batch) % 3


def test_a_head_that_keeps_every_promise_passes(install, outcomes):
    install("zoo_patches")
    assert outcomes(PatchScores) == {}


CONFIG, HEAD, PLUGIN = "config.py", "head.py", "_plugin.py"
ANYTHING = """pooled = next(x for x in (features.tokens, features.vector, *features.maps) if x is not None)
        pooled = pooled.flatten(2).mean(-1) if pooled.ndim == 4 else pooled.reshape(len(pooled), -1, 16)[:, 0]"""
TEMPERATURE = "    temperature: float = 1.0\n"
POOLED = "pooled = features.tokens[:, 0]"

WRONG = {
    "the configuration imports torch": (
        (CONFIG, "from zoo.interfaces", "import torch\nfrom zoo.interfaces"),
        "test_manifest_loads_in_a_fresh_process_without_torch",
        "must work without torch",
    ),
    "unknown keys are lost": (
        (
            CONFIG,
            TEMPERATURE,
            f"{TEMPERATURE}\n    def to_hub(self):\n"
            "        return {key: value for key, value in super().to_hub().items() if 'made_up' not in key}\n",
        ),
        "test_config_round_trips",
        "PatchScoresConfig.from_hub(values).to_hub() changes",
    ),
    "the field with a bad value is not named": (
        (
            CONFIG,
            TEMPERATURE,
            f"{TEMPERATURE}\n    def invalid(self, name, problem):\n"
            "        from zoo.errors import ConfigError\n\n        return ConfigError('bad value')\n",
        ),
        "test_config_refuses_bad_values",
        "without the name of the field",
    ),
    "random weights are drawn from the global numbers": (
        (HEAD, "nn.init.zeros_(self.bias)", "nn.init.normal_(self.bias)"),
        "test_initial_weights_come_from_the_generator_alone",
        "differ in bias",
    ),
    "a mean over the batch": (
        (HEAD, POOLED, f"{POOLED}\n        if not self.training:\n            pooled = pooled - pooled.mean(dim=0)"),
        "test_forward_gives_a_row_for_each_input",
        "An input gives another result in a batch than alone: logits",
    ),
    "a term of the loss is no single number": (
        (HEAD, '{"label": loss}', '{"label": loss[None]}'),
        "test_loss_is_finite_and_in_named_terms",
        "Return name -> tensor without dimensions",
    ),
    "denominators are passed over": (
        (HEAD, "(denominators or self.count(target))", "self.count(target)"),
        "test_counts_make_parts_equal_the_whole",
        "The losses of two parts add up to",
    ),
    "a parameter is detached": (
        (HEAD, "self.weight, self.bias)", "self.weight, self.bias.detach())"),
        "test_gradients_reach_every_parameter",
        "reaches bias",
    ),
    "it needs more than it says": (
        (HEAD, POOLED, f"assert features.vector is not None\n        {POOLED}"),
        "test_takes_what_its_requirements_let_through",
        "Say all that it needs in `requires`",
    ),
    "the loaded head lacks what init_weights set": (
        (HEAD, "nn.init.zeros_(self.bias)", "nn.init.zeros_(self.bias)\n        self.gain = 2.0"),
        "test_saved_and_loaded_it_is_the_same",
        "The loaded head computes another result",
    ),
    "the layout of the pair loses a setting": (
        ("layouts.py", '        "temperature": configs.head.temperature,\n', ""),
        "test_saved_and_loaded_it_is_the_same",
        "Saved and loaded, the head is a PatchScores with",
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_wrong_is_caught_by_its_check_alone(install, outcomes, wrong):
    change, check, said = WRONG[wrong]
    install("zoo_patches", change)
    failed = outcomes(PatchScores, left_out=SLOW - {check})
    if wrong == "it needs more than it says":  # the features of the kit are those that it says
        assert check in failed
    else:
        assert set(failed) == {check}, failed
    assert said in failed[check]


def test_a_parameter_that_is_never_filled_is_caught(install, outcomes):
    install("zoo_patches", (HEAD, "nn.init.zeros_(self.bias)", "pass"))
    failed = outcomes(PatchScores, left_out=SLOW)
    assert "differ in bias" in failed["test_initial_weights_come_from_the_generator_alone"]


def test_declared_features_stand_in_for_a_backbone(install, outcomes):
    install("zoo_patches")

    class Declared(PatchScores):
        architecture = ""
        features = (
            FeatureSpec(name="tokens", channels=6, kind="tokens", modality="image", stride=16, prefix_tokens=1),
            FeatureSpec(name="map", channels=3, kind="map", modality="image", stride=8),
        )

    assert outcomes(Declared, left_out=SLOW) == {}
    assert Declared().built().weight.shape == (3, 6)


def test_a_head_that_takes_everything_is_caught(install, outcomes):
    install(
        "zoo_patches",
        (
            PLUGIN,
            'FeatureRequirement(kind="tokens", modality="image")',
            '(FeatureRequirement(kind="tokens"), FeatureRequirement(kind="vector"), FeatureRequirement(kind="map"))',
        ),
        (HEAD, POOLED, ANYTHING),
    )
    failed = outcomes(PatchScores, left_out=SLOW)
    assert set(failed) == {"test_refuses_other_features_before_it_is_built"}, failed


def test_a_backbone_that_the_head_does_not_fit_is_said(install):
    install(
        "zoo_patches",
        (
            "config.py",
            'kind="tokens",\n                modality="image"',
            'kind="tokens",\n                modality="text"',
        ),
    )

    with pytest.raises(AssertionError, match="'patch-scores' does not take what 'patches' gives"):
        PatchScores().test_gradients_reach_every_parameter()
