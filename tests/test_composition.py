"""What fits is decided from specs alone, and refused in one sentence."""

from __future__ import annotations

import pytest

from zoo.composition import choose_head, serving, unmet
from zoo.errors import CompositionError
from zoo.interfaces import FeatureSpec
from zoo.registry import registry
from zoo.spec import FeatureRequirement

TEXT = FeatureSpec(name="hidden_states", channels=8, kind="tokens", modality="text", causal=True)
MAPS = tuple(FeatureSpec(name=f"stage{i}", channels=8, kind="map", modality="image", stride=4 * 2**i) for i in range(3))


@pytest.mark.parametrize(
    ("requirement", "features", "said"),
    [
        (FeatureRequirement(kind="tokens"), (TEXT,), None),
        (FeatureRequirement(kind="tokens", modality="text", causal=True), (TEXT,), None),
        (FeatureRequirement(kind="map"), (TEXT,), "needs map, but 'hidden_states' is tokens"),
        (FeatureRequirement(kind="tokens", modality="image"), (TEXT,), "needs image features"),
        (FeatureRequirement(kind="tokens", causal=False), (TEXT,), "needs bidirectional features"),
        (FeatureRequirement(kind="map", strides=(4, 8)), MAPS, None),
        (FeatureRequirement(kind="map", strides=(8, 16, 32)), MAPS, "strides 32; there are some at 4, 8, 16"),
        (FeatureRequirement(kind="map"), (), "there are no features"),
    ],
)
def test_requirements(requirement, features, said):
    reason = unmet(requirement, features)
    assert reason is None if said is None else said in reason


def test_a_head_is_built_from_the_features_that_serve_it_wherever_they_stand():
    requirement = registry().heads.get("causal-lm").spec.requires
    vector = FeatureSpec(name="pooled", channels=5, kind="vector", modality="text")
    assert serving(requirement, (vector, *MAPS, TEXT)) == (TEXT,)


def test_the_tasks_default_head_is_chosen_by_the_kind_of_features():
    architecture = registry().architectures.get("llama")
    head = choose_head(architecture, (TEXT,), registry().tasks.get("text-generation"))
    assert head.spec.name == "causal-lm"


def test_a_task_without_a_head_for_these_features_is_refused_in_one_sentence():
    architecture = registry().architectures.get("llama")
    with pytest.raises(CompositionError, match=r"llama can't do 'text-generation': it gives image map") as caught:
        choose_head(architecture, MAPS, registry().tasks.get("text-generation"))
    assert "zoo info llama" in caught.value.hint


def test_a_default_head_whose_needs_are_not_met_is_refused_with_the_reason():
    architecture = registry().architectures.get("llama")
    bidirectional = FeatureSpec(name="states", channels=8, kind="tokens", modality="text", causal=False)
    with pytest.raises(CompositionError, match="'causal-lm' needs causal features"):
        choose_head(architecture, (bidirectional,), registry().tasks.get("text-generation"))
