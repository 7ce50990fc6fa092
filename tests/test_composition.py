"""What fits is decided from specs alone, and refused in one sentence."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from zoo.composition import choose_head, features_for, require_fit, serving, unmet
from zoo.errors import CompositionError
from zoo.interfaces import FeatureSpec, NeckConfig
from zoo.registry import Entry, registry
from zoo.spec import ArchitectureSpec, FeatureRequirement, HeadSpec, NeckSpec, TaskSpec

TEXT = FeatureSpec(name="hidden_states", channels=8, kind="tokens", modality="text", causal=True)
IMAGE = FeatureSpec(name="tokens", channels=8, kind="tokens", modality="image", stride=16, prefix_tokens=1)
MAPS = tuple(FeatureSpec(name=f"stage{i}", channels=8, kind="map", modality="image", stride=4 * 2**i) for i in range(3))
VECTOR = FeatureSpec(name="pooled", channels=5, kind="vector", modality="image")


@dataclass(frozen=True, kw_only=True)
class PyramidConfig(NeckConfig):
    """A neck that turns tokens into maps."""

    strides: tuple[int, ...] = (4, 8, 16)

    def feature_specs(self, features):
        return tuple(
            replace(features[0], name=f"p{stride}", kind="map", stride=stride, prefix_tokens=0)
            for stride in self.strides
        )


def entry(spec):
    return Entry(spec, "zoo-test", "1.0", "zoo-test:test")


ARCHITECTURE = entry(
    ArchitectureSpec(
        name="vit",
        config="nowhere:Config",
        model="nowhere:Model",
        modality="image",
        default_task="segmenting",
        preprocessor="image",
    )
)
TASK = entry(TaskSpec(name="segmenting", inputs="", outputs="", default_heads={"map": "pyramid-head"}))
HEAD = entry(
    HeadSpec(
        name="pyramid-head",
        task="segmenting",
        head="nowhere:Head",
        config="nowhere:HeadConfig",
        requires=FeatureRequirement(kind="map", modality="image", strides=(4, 8, 16)),
    )
)
NECK = NeckSpec(
    name="pyramid",
    neck="nowhere:Neck",
    config=f"{__name__}:PyramidConfig",
    requires=FeatureRequirement(kind="tokens", modality="image"),
)


@pytest.mark.parametrize(
    ("requirement", "features", "said"),
    [
        (FeatureRequirement(kind="tokens"), (TEXT,), None),
        (FeatureRequirement(kind="tokens", modality="text", causal=True), (TEXT,), None),
        (FeatureRequirement(kind="map"), (TEXT,), "needs maps"),
        (FeatureRequirement(kind="tokens", modality="image"), (TEXT,), "needs image tokens"),
        (FeatureRequirement(kind="tokens", causal=False), (TEXT,), "needs bidirectional tokens"),
        (FeatureRequirement(kind="map", strides=(4, 8)), MAPS, None),
        (FeatureRequirement(kind="map", strides=(8, 16, 32)), MAPS, "needs maps at strides 8, 16 and 32"),
        (FeatureRequirement(kind="map"), (), "needs maps"),
        (FeatureRequirement(kind="tokens", prefix_tokens=1), (IMAGE,), None),
        (FeatureRequirement(kind="tokens", prefix_tokens=2), (IMAGE,), "needs tokens with 2 prefix tokens"),
    ],
)
def test_requirements(requirement, features, said):
    assert unmet(requirement, features) == said


def test_a_head_is_built_from_the_features_that_serve_it_wherever_they_stand():
    requirement = registry().heads.get("causal-lm").spec.requires
    assert serving(requirement, (VECTOR, *MAPS, TEXT)) == (TEXT,)


def test_a_head_that_names_strides_is_built_from_the_maps_of_these_alone():
    requirement = FeatureRequirement(kind="map", strides=(8, 16))
    assert serving(requirement, MAPS) == MAPS[1:]


def test_the_tasks_default_head_is_chosen_by_the_kind_of_features():
    architecture = registry().architectures.get("llama")
    head = choose_head(architecture, (TEXT,), registry().tasks.get("text-generation"))
    assert head.spec.name == "causal-lm"


def test_an_architecture_may_name_its_own_default_head():
    architecture = registry().architectures.get("llama")
    own = architecture._replace(
        spec=replace(architecture.spec, heads={"zoo-sdk:text-generation": "last-token-classifier"})
    )
    assert choose_head(own, (TEXT,), registry().tasks.get("text-generation")).spec.name == "last-token-classifier"


def test_a_task_without_a_head_for_these_features_is_refused_in_one_sentence():
    architecture = registry().architectures.get("llama")
    with pytest.raises(CompositionError) as caught:
        choose_head(architecture, MAPS, registry().tasks.get("text-generation"))
    assert caught.value.message == (
        "llama can't do 'text-generation': it gives image maps at strides 4, 8 and 16, and the task has heads for "
        "tokens only."
    )
    assert "zoo info llama" in caught.value.hint


def test_a_head_whose_needs_are_not_met_is_refused_with_the_reason():
    with pytest.raises(CompositionError) as caught:
        require_fit(ARCHITECTURE, (*MAPS[:2], VECTOR), TASK, HEAD)
    assert caught.value.message == (
        "vit can't do 'segmenting': the head 'pyramid-head' needs image maps at strides 4, 8 and 16; vit gives image "
        "maps at strides 4 and 8 and one image vector."
    )


def test_where_a_neck_helps_the_refusal_names_it():
    necks = registry().necks
    before = necks.entries()
    necks.replace([entry(NECK)])
    try:
        with pytest.raises(CompositionError) as caught:
            require_fit(ARCHITECTURE, (IMAGE,), TASK, HEAD)
    finally:
        necks.replace(before)
    assert caught.value.message == (
        "vit can't do 'segmenting' as it is: the head 'pyramid-head' needs image maps at strides 4, 8 and 16; vit "
        "gives image tokens with 1 prefix token at stride 16: add neck='pyramid'."
    )


def test_with_a_neck_the_head_is_given_what_the_neck_makes():
    given = require_fit(ARCHITECTURE, (IMAGE, VECTOR), TASK, HEAD, entry(NECK), PyramidConfig())
    assert [feature.stride for feature in features_for(HEAD.spec, given)] == [4, 8, 16]


def test_a_neck_that_does_not_fit_is_refused_itself():
    with pytest.raises(CompositionError, match=r"^The neck 'pyramid' needs image tokens; vit gives image maps at"):
        require_fit(ARCHITECTURE, MAPS, TASK, HEAD, entry(NECK), PyramidConfig())


def test_what_a_neck_makes_may_not_fit_either():
    with pytest.raises(CompositionError, match=r"the neck 'pyramid' gives image maps at strides 4 and 8\."):
        require_fit(ARCHITECTURE, (IMAGE,), TASK, HEAD, entry(NECK), PyramidConfig(strides=(4, 8)))


def test_a_task_without_a_head_for_these_features_names_the_neck_that_helps():
    necks, heads = registry().necks, registry().heads
    before = necks.entries(), heads.entries()
    necks.replace([entry(NECK)])
    heads.replace([HEAD])
    try:
        with pytest.raises(CompositionError, match=r"the task has heads for maps only: add neck='pyramid'\.$"):
            choose_head(ARCHITECTURE, (IMAGE,), TASK)
    finally:
        necks.replace(before[0])
        heads.replace(before[1])
