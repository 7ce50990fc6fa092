"""What beats what, and what is refused."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from zoo.errors import ConfigError, InvalidInput, UnsupportedFeature
from zoo.generation import GenerationSettings
from zoo.generation.resolution import resolve_settings
from zoo.tasks.text_generation import CausalLanguageModel

Make = Callable[..., CausalLanguageModel]


def test_explicit_beats_model_beats_defaults(tiny: Make) -> None:
    model = tiny({"do_sample": True, "temperature": 0.6, "top_p": 0.9})
    settings = resolve_settings(model, {"top_p": 0.5})
    assert (settings.temperature, settings.top_p, settings.top_k) == (0.6, 0.5, 0)


def test_none_means_not_given(tiny: Make) -> None:
    assert resolve_settings(tiny({"top_k": 7, "temperature": None}), {"top_k": None}).top_k == 7


@pytest.mark.parametrize("shaping", [{"temperature": 0.7}, {"top_k": 5}, {"top_p": 0.9}, {"min_p": 0.1}])
def test_asking_for_a_shape_asks_for_sampling(shaping: dict[str, Any]) -> None:
    assert GenerationSettings().override(**shaping).samples
    assert not GenerationSettings.from_hub(shaping).samples, (
        "a file without do_sample means greedy, as for transformers"
    )


def test_ways_to_ask_for_greedy() -> None:
    sampling = GenerationSettings.from_hub({"do_sample": True, "temperature": 0.6, "top_p": 0.9})
    assert sampling.samples
    for explicit in ({"temperature": 0}, {"do_sample": False}, {"temperature": 0, "top_p": 0.9}):
        assert not sampling.override(**explicit).samples
    assert not GenerationSettings.from_hub({"do_sample": True, "temperature": 0.0}).samples


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"eos_token_id": 2}, (2,)),
        ({"eos_token_id": [2, 5]}, (2, 5)),
        ({"eos_token_id": None}, None),
        ({}, None),
    ],
)
def test_eos_token_ids_in_the_file(values: dict[str, Any], expected: tuple[int, ...] | None) -> None:
    assert GenerationSettings.from_hub(values).eos_token_id == expected


def test_stop_strings_and_old_spellings() -> None:
    assert GenerationSettings.from_hub({"stop_strings": "###"}).stop == ("###",)
    assert GenerationSettings().override(stop=["a", "b"]).stop == ("a", "b")
    early = GenerationSettings.from_hub({"pad_token_id": -1, "eos_token_id": -1})
    assert (early.pad_token_id, early.eos_token_id) == (None, None)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"temperature": -0.1}, "'temperature': must be 0"),
        ({"temperature": 1e-9}, "'temperature': must be 0"),
        ({"temperature": float("nan")}, "'temperature'"),
        ({"temperature": "hot"}, "'temperature': expected float, found str 'hot'"),
        ({"top_k": -1}, "'top_k': must be at least 1, or 0"),
        ({"temperature": 10**400}, "'temperature': expected float, found int <of 1329 bits>"),
        ({"max_new_tokens": 10**400}, "'max_new_tokens': expected int or null, found int <of 1329 bits>"),
        ({"top_k": 2.5}, "'top_k': expected int, found float 2.5"),
        ({"top_p": 1.5}, "'top_p': must be between 0 and 1, found 1.5"),
        ({"min_p": -0.5}, "'min_p': must be between 0 and 1"),
        ({"repetition_penalty": 0.0}, "'repetition_penalty': must be above 0"),
        ({"max_new_tokens": 0}, "'max_new_tokens': must be at least 1, found 0"),
        ({"max_new_tokens": -3}, "'max_new_tokens': must be at least 1"),
        ({"max_new_tokens": True}, "'max_new_tokens': expected int"),
        ({"max_length": 0}, "'max_length': must be at least 1"),
        ({"min_new_tokens": -1}, "'min_new_tokens': must not be negative"),
        ({"min_new_tokens": 9, "max_new_tokens": 5}, "'min_new_tokens': 9 is above max_new_tokens, 5"),
        ({"eos_token_id": [-1]}, "'eos_token_id': token ids are not negative"),
        ({"eos_token_id": "</s>"}, "'eos_token_id': expected a list of int"),
        ({"stop": [""]}, "'stop': a stop string must not be empty"),
        ({"stop": [3]}, "'stop': expected a list of str"),
        ({"seed": -1}, "'seed': must be between 0 and 2"),
    ],
)
def test_values_out_of_range(setting: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        GenerationSettings().override(**setting)
    if not setting.keys() & {"stop", "seed"}:
        with pytest.raises(ConfigError, match=rf"generation_config\.json.*{message}"):
            GenerationSettings.from_hub(setting)


@pytest.mark.parametrize(
    "contradiction",
    [
        {"do_sample": True, "temperature": 0},
        {"do_sample": False, "temperature": 0.7},
        {"do_sample": False, "top_k": 3},
        {"max_new_tokens": 3, "max_length": 9},
    ],
)
def test_contradictions_are_refused(contradiction: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        GenerationSettings().override(**contradiction)


def test_do_sample_false_with_values_that_say_nothing() -> None:
    assert not GenerationSettings().override(do_sample=False, temperature=1.0, top_k=0, top_p=None).samples


def test_unknown_settings_get_the_nearest_name() -> None:
    with pytest.raises(InvalidInput, match=r"no generation setting 'max_new_token'.*\n.*'max_new_tokens'"):
        GenerationSettings().override(max_new_token=3)
    with pytest.raises(InvalidInput, match="no generation setting 'hub'"):
        GenerationSettings().override(hub={})


def test_what_is_not_supported_is_refused_and_can_be_declined(tiny: Make) -> None:
    model = tiny({"num_beams": 4, "transformers_version": "5.0", "suppress_tokens": [], "typical_p": 1.0})
    with pytest.raises(UnsupportedFeature, match=r"asks for num_beams=4.*\n.*Pass num_beams=1"):
        model.generate([[1]], max_new_tokens=1)
    assert model.generate([[1]], max_new_tokens=1, num_beams=1)
    with pytest.raises(InvalidInput, match="num_beams=2 is not supported"):
        model.generate([[1]], max_new_tokens=1, num_beams=2)


def test_the_hint_for_what_is_not_supported_works(tiny: Make) -> None:
    model = tiny({"suppress_tokens": [3]})
    with pytest.raises(UnsupportedFeature, match=r"Pass suppress_tokens=\[\]"):
        model.generate([[1]], max_new_tokens=1)
    assert model.generate([[1]], max_new_tokens=1, suppress_tokens=[])


def test_eos_of_config_json_where_the_other_file_says_nothing(tiny: Make) -> None:
    model = tiny()
    model.backbone.config = type(model.config).from_hub({"eos_token_id": [7, 8]})
    assert resolve_settings(model, {}).eos_token_id == (7, 8)
    assert model.origin is not None
    model.origin = type(model.origin)(architecture="a", generation_config={"eos_token_id": 9})
    assert resolve_settings(model, {}).eos_token_id == (9,)


@pytest.mark.parametrize("field", ["eos_token_id", "pad_token_id"])
def test_the_file_that_is_wrong_is_the_one_that_is_named(tiny: Make, field: str) -> None:
    model = tiny({field: "x"})
    with pytest.raises(ConfigError, match=rf"\(generation_config\.json\).*'{field}'.*found str 'x'"):
        resolve_settings(model, {})
    model = tiny({"temperature": 0.5})
    model.backbone.config = type(model.config).from_hub({field: "x"})
    with pytest.raises(ConfigError, match=rf"\(config\.json\).*'{field}'.*found str 'x'"):
        resolve_settings(model, {})


def test_settings_need_no_torch() -> None:
    code = "import sys, zoo.generation.settings, zoo.generation; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
