"""Token for token what transformers' generate gives, on small Llamas with random weights."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import LlamaConfig as ReferenceConfig
from transformers import LlamaForCausalLM

from zoo.tasks.head_configs import CausalLMHeadConfig
from zoo.tasks.text_generation import CausalLanguageModel, CausalLMHead
from zoo_llama.config import LlamaConfig
from zoo_llama.model import Llama

PROMPTS = [[3], [5, 6, 7, 8, 9], [11, 12], [20] * 14, [33, 34, 35, 36, 37, 38, 39]]
PAD = 99
ENDING = [1, 2, 17, 40, 41, 42, 60, 61, 62, 63]
SHAPE = {
    "vocab_size": 100,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
}


@pytest.fixture(scope="module")
def reference() -> LlamaForCausalLM:
    torch.manual_seed(0)
    config = ReferenceConfig(**SHAPE, initializer_range=0.4, tie_word_embeddings=False, pad_token_id=PAD)
    model = LlamaForCausalLM(config).eval()
    model.generation_config.eos_token_id = None
    return model


@pytest.fixture(scope="module")
def ours(reference: LlamaForCausalLM) -> CausalLanguageModel:
    config = LlamaConfig.from_hub(reference.config.to_dict())
    model = CausalLanguageModel(
        Llama(config), CausalLMHead(config.feature_specs(), CausalLMHeadConfig(vocab_size=config.vocab_size))
    )
    state = reference.state_dict()
    model.head.load_state_dict({"weight": state.pop("lm_head.weight")})
    model.backbone.load_state_dict({name.removeprefix("model."): tensor for name, tensor in state.items()})
    return model.eval()


def expected(reference: LlamaForCausalLM, prompts: list[list[int]], **settings: Any) -> list[list[int]]:
    """What transformers generates, without the prompt and the padding after an end."""
    width = max(map(len, prompts))
    ids = torch.tensor([[PAD] * (width - len(prompt)) + prompt for prompt in prompts])
    mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts])
    rows = reference.generate(ids, attention_mask=mask, pad_token_id=PAD, **settings)[:, width:].tolist()
    ending = settings.get("eos_token_id") or []
    ends = [next((index for index, token in enumerate(row) if token in ending), len(row)) for row in rows]
    return [row[: end + 1] for row, end in zip(rows, ends, strict=True)]


@pytest.mark.parametrize(
    "settings",
    [
        {"max_new_tokens": 60},
        {"max_new_tokens": 60, "repetition_penalty": 1.3},
        {"max_new_tokens": 60, "repetition_penalty": 0.8},
        {"max_new_tokens": 60, "eos_token_id": ENDING},
        {"max_new_tokens": 60, "min_new_tokens": 10, "eos_token_id": ENDING},
        {"max_new_tokens": 30, "min_new_tokens": 4, "repetition_penalty": 1.2, "eos_token_id": ENDING},
    ],
)
def test_greedy(reference: LlamaForCausalLM, ours: CausalLanguageModel, settings: dict[str, Any]) -> None:
    together = ours.generate(PROMPTS, **settings)
    assert [list(ids) for ids in together.token_ids] == expected(reference, PROMPTS, do_sample=False, **settings)
    for prompt in PROMPTS:
        alone = ours.generate([prompt], **settings)
        assert [list(ids) for ids in alone.token_ids] == expected(reference, [prompt], do_sample=False, **settings)


def test_some_of_these_texts_end_early_and_some_do_not(ours: CausalLanguageModel) -> None:
    """Otherwise the test above would not show what it is meant to."""
    output = ours.generate(PROMPTS, max_new_tokens=60, eos_token_id=ENDING)
    assert "eos" in output.finish_reasons
    assert len({len(ids) for ids in output.token_ids}) > 2


def test_sampling_from_one_candidate_is_greedy_in_both(reference: LlamaForCausalLM, ours: CausalLanguageModel) -> None:
    for settings in ({"top_k": 1}, {"top_p": 1e-6}, {"min_p": 1.0}):
        sampled = ours.generate(PROMPTS, max_new_tokens=20, temperature=1.7, **settings)
        greedy = expected(reference, PROMPTS, do_sample=False, max_new_tokens=20)
        assert [list(ids) for ids in sampled.token_ids] == greedy
