"""The loop: what it computes with a cache, padding and a shrinking batch is what one gets without any of them."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch

from zoo.errors import InvalidInput, UnsupportedFeature, ZooError
from zoo.generation import GenerationOutput, KVCache
from zoo.generation.resolution import resolve_settings
from zoo.generation.run import start
from zoo.tasks.text_generation import CausalLanguageModel

Make = Callable[..., CausalLanguageModel]

PROMPTS = [[5], [7, 8, 9, 10, 11], [200, 3], [1] * 17, [42, 43, 44]]


def assert_greedy(model: CausalLanguageModel, prompt: list[int], new: tuple[int, ...]) -> None:
    """Without a cache: each new token is the likeliest after all that stands before it."""
    with torch.no_grad():
        logits = model({"input_ids": torch.tensor([[*prompt, *new]])}).logits[0]
    assert logits.argmax(-1)[len(prompt) - 1 : -1].tolist() == list(new)


def test_greedy_with_a_cache_is_greedy_without(tiny: Make) -> None:
    model = tiny()
    for prompt in PROMPTS:
        output = model.generate([prompt], max_new_tokens=20, eos_token_id=[])
        assert_greedy(model, prompt, output.token_ids[0])
        assert output.finish_reasons == ("length",)
        assert output.prompt_tokens == (len(prompt),)


def test_past_the_first_block_of_the_cache(tiny: Make) -> None:
    model = tiny()
    prompt = list(range(200))
    output = model.generate([prompt], max_new_tokens=395, eos_token_id=[])
    assert len(output.token_ids[0]) == 395
    assert_greedy(model, prompt, output.token_ids[0])


def test_a_padded_batch_gives_what_each_prompt_gives_alone(tiny: Make) -> None:
    model = tiny()
    together = model.generate(PROMPTS, max_new_tokens=25, eos_token_id=[])
    alone = [model.generate([prompt], max_new_tokens=25, eos_token_id=[]).token_ids[0] for prompt in PROMPTS]
    assert list(together.token_ids) == alone


def test_tensors_and_lists_are_the_same_prompts(tiny: Make) -> None:
    model = tiny()
    ids = torch.tensor([[250, 250, 5], [7, 8, 9]])
    mask = torch.tensor([[0, 0, 1], [1, 1, 1]])
    output = model.generate(ids, mask, max_new_tokens=10, eos_token_id=[])
    assert output == model.generate([[5], [7, 8, 9]], max_new_tokens=10, eos_token_id=[])


def test_rows_that_end_early_leave_the_batch_and_change_nothing(tiny: Make) -> None:
    model = tiny()
    free = model.generate(PROMPTS, max_new_tokens=60, eos_token_id=[])
    ending = sorted({row[6] for row in free.token_ids} | {free.token_ids[1][20]})
    sizes: list[int] = []
    hook = model.register_forward_hook(lambda _model, args, _output: sizes.append(len(args[0]["input_ids"])))
    stopped = model.generate(PROMPTS, max_new_tokens=60, eos_token_id=ending, repetition_penalty=1.0)
    hook.remove()
    assert sizes[0] == len(PROMPTS)
    assert sizes[-1] < len(PROMPTS)
    for got, full, reason in zip(stopped.token_ids, free.token_ids, stopped.finish_reasons, strict=True):
        end = next((index for index, token in enumerate(full) if token in ending), None)
        assert got == (full if end is None else full[: end + 1])
        assert reason == ("length" if end is None else "eos")


@pytest.mark.parametrize(
    "settings", [{"seed": 3, "temperature": 0.8}, {"repetition_penalty": 1.7}, {"seed": 1, "top_k": 5}]
)
def test_settings_with_state_survive_a_shrinking_batch(tiny: Make, settings: dict[str, Any]) -> None:
    model = tiny()
    settings |= {"max_new_tokens": 40}
    alone = [model.generate([prompt], eos_token_id=[], **settings).token_ids[0] for prompt in PROMPTS]
    ending = [alone[0][2], alone[1][4], alone[2][3]]
    stopped = model.generate(PROMPTS, eos_token_id=ending, **settings)
    for got, full in zip(stopped.token_ids, alone, strict=True):
        assert got == full[: len(got)]
        assert len(got) == 40 or got[-1] in ending


def test_every_id_in_eos_token_id_ends(scripted: Make) -> None:
    for ending in (98, [120, 98], [98, 120]):
        output = scripted("abc").generate([[1]], eos_token_id=ending)
        assert (output.token_ids, output.finish_reasons) == (((97, 98),), ("eos",))


def test_no_more_steps_than_tokens(scripted: Make) -> None:
    model = scripted("abc")
    model.generate([[1], [2]], max_new_tokens=2)
    assert model.backbone.steps == 2


def test_inference_mode_does_not_leak_between_steps(tiny: Make) -> None:
    model = tiny()
    steps = start(model, [[1]], None, resolve_settings(model, {})).steps
    next(steps)
    assert not torch.is_inference_mode_enabled()
    assert torch.ones(1, requires_grad=True).requires_grad


def test_the_training_mode_stays_as_it_is(tiny: Make) -> None:
    for model in (tiny().eval(), tiny().train()):
        before = model.training
        model.generate([[1]], max_new_tokens=1)
        assert model.training == before


def test_closing_the_steps_frees_the_cache(tiny: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    caches: list[weakref.ref[KVCache]] = []

    class Watched(KVCache):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            caches.append(weakref.ref(self))

    monkeypatch.setattr("zoo.generation.decoding.KVCache", Watched)
    model = tiny()
    run = start(model, [[1]], None, resolve_settings(model, {}))
    next(run.steps)
    assert caches[0]() is not None
    run.steps.close()
    gc.collect()
    assert caches[0]() is None


def test_scores_that_are_not_numbers_are_refused(tiny: Make) -> None:
    model = tiny()
    torch.nn.init.constant_(model.head.weight, float("nan"))
    for settings in ({}, {"temperature": 1.0}, {"top_k": 5}, {"top_p": 0.5, "min_p": 0.1}):
        with pytest.raises(ZooError, match=r"not numbers \(NaN\).*\n.*float32"):
            model.generate([[1]], max_new_tokens=3, **settings)


def test_a_model_without_a_cache_is_refused(tiny: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny()
    monkeypatch.setattr(type(model.backbone), "cache_spec", lambda self: None)
    with pytest.raises(UnsupportedFeature, match="TinyDecoder has no cache_spec"):
        model.generate([[1]])


def test_logprobs_are_the_models_own(tiny: Make) -> None:
    model = tiny()
    output = model.generate(PROMPTS, max_new_tokens=6, logprobs=True, temperature=0.3, seed=0, eos_token_id=[])
    assert output.logprobs is not None
    for prompt, ids, logprobs in zip(PROMPTS, output.token_ids, output.logprobs, strict=True):
        with torch.no_grad():
            logits = model({"input_ids": torch.tensor([[*prompt, *ids]])}).logits[0]
        expected = logits.log_softmax(-1)[len(prompt) - 1 : -1].gather(1, torch.tensor(ids)[:, None])[:, 0]
        torch.testing.assert_close(torch.tensor(logprobs), expected, atol=1e-5, rtol=1e-5)
    assert model.generate([[1]], max_new_tokens=1).logprobs is None


class TestLength:
    def test_default_is_what_is_left_of_the_context_up_to_a_cap(self, tiny: Make) -> None:
        assert len(tiny(max_position_embeddings=50).generate([[1] * 20], eos_token_id=[]).token_ids[0]) == 30
        assert len(tiny().generate([[1] * 20], eos_token_id=[]).token_ids[0]) == 512

    def test_the_context_ends_each_prompt_in_its_own_time(self, tiny: Make) -> None:
        output = tiny(max_position_embeddings=20).generate([[1] * 19, [2] * 5], max_new_tokens=100, eos_token_id=[])
        assert [len(ids) for ids in output.token_ids] == [1, 15]
        assert output.finish_reasons == ("length", "length")

    def test_max_length_counts_the_prompt(self, tiny: Make) -> None:
        output = tiny({"max_length": 12}).generate([[1] * 3, [2] * 10], eos_token_id=[])
        assert [len(ids) for ids in output.token_ids] == [9, 2]

    def test_max_new_tokens_beats_the_models_max_length(self, tiny: Make) -> None:
        assert len(tiny({"max_length": 5}).generate([[1] * 30], max_new_tokens=7, eos_token_id=[]).token_ids[0]) == 7

    def test_of_two_limits_in_the_models_file_max_new_tokens_holds(self, tiny: Make) -> None:
        model = tiny({"max_length": 5, "max_new_tokens": 7})
        assert len(model.generate([[1] * 4], eos_token_id=[]).token_ids[0]) == 7
        assert len(model.generate([[1] * 4], eos_token_id=[], max_length=6).token_ids[0]) == 2

    @pytest.mark.parametrize("length", [600, 601, 1000])
    def test_a_prompt_that_fills_the_context(self, tiny: Make, length: int) -> None:
        with pytest.raises(InvalidInput, match=f"Prompt 1 has {length} tokens.*context of 600"):
            tiny().generate([[1], [1] * length])

    def test_context_length_says_otherwise(self, tiny: Make) -> None:
        output = tiny(max_position_embeddings=30).generate([[1] * 5], context_length=8, eos_token_id=[])
        assert len(output.token_ids[0]) == 3

    def test_a_prompt_longer_than_max_length(self, tiny: Make) -> None:
        with pytest.raises(InvalidInput, match=r"Prompt 0 has 6 tokens.*max_length, 6\.\n.*max_new_tokens"):
            tiny().generate([[1] * 6], max_length=6)

    def test_min_new_tokens_forbids_an_end(self, tiny: Make) -> None:
        model = tiny()
        first = model.generate([[1]], max_new_tokens=1).token_ids[0][0]
        output = model.generate([[1]], eos_token_id=first, min_new_tokens=9, max_new_tokens=30)
        assert first not in output.token_ids[0][:9]
        assert len(output.token_ids[0]) >= 9


def test_padded_output(scripted: Make) -> None:
    output = scripted("ab", {"pad_token_id": 9, "eos_token_id": 256}).generate([[1]])
    assert output.padded().tolist() == [[97, 98, 256]]
    longer = GenerationOutput(
        token_ids=((1,), (2, 3)), finish_reasons=("eos", "eos"), prompt_tokens=(1, 1), logprobs=None, pad_token_id=9
    )
    assert longer.padded().tolist() == [[1, 9], [2, 3]]
