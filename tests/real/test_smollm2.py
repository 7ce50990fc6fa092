"""SmolLM2-135M-Instruct, a real trained model, against transformers on the same weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import transformers

import zoo
from zoo.testing import assert_logits_agree, assert_same_tensors

pytestmark = pytest.mark.real

PROMPTS = (
    "The",
    "Hello",
    "The capital of France is",
    "Once upon a time, there was a little",
    "def fibonacci(n):\n    ",
    "1, 2, 3, 4, 5,",
    "Water boils at a temperature of",
    "The three primary colours are",
    "Dear Sir or Madam,\n\nI am writing to",
    "To be, or not to be, that is",
    "  leading spaces are kept",
    "Q: Who wrote Hamlet?\nA:",
    "Ein kurzer Satz auf Deutsch:",
    "日本の首都は",
    "🙂 emoji come",
    "import numpy as np\n\nx = np.",
    "A recipe for pancakes needs flour, milk, eggs and",
    "The quick brown fox jumps over the lazy dog. " * 3,
    "In the beginning there was nothing, and then " * 6,
    "Paris is the capital of France. Rome is the capital of Italy. Berlin is the capital of",
    "List: apples, pears, plums, " * 20 + "and",
    'He said: "I don\'t know", and she answered: "',
    "SELECT name FROM users WHERE",
    "<html>\n<head>\n<title>",
)
NEW_TOKENS = 24


@pytest.fixture(scope="module")
def directory(smollm2_gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The GGUF, loaded and saved by zoo as a Hub directory."""
    model, preprocessor = zoo.load(smollm2_gguf)
    return zoo.save(
        model, tmp_path_factory.mktemp("smollm2") / "model", preprocessor=preprocessor, max_shard_size="200MB"
    )


@pytest.fixture(scope="module")
def pipe(directory: Path):
    return zoo.pipeline("text-generation", directory)


@pytest.fixture(scope="module")
def reference(directory: Path):
    model, report = transformers.LlamaForCausalLM.from_pretrained(directory, output_loading_info=True)
    assert not report["missing_keys"] and not report["unexpected_keys"] and not report["mismatched_keys"]
    return model.eval(), transformers.AutoTokenizer.from_pretrained(directory, padding_side="left")


@pytest.fixture(scope="module")
def expected(reference) -> list[list[int]]:
    """What transformers generates for each prompt alone, greedily."""
    model, tokenizer = reference
    results = []
    for prompt in PROMPTS:
        inputs = tokenizer(prompt, return_tensors="pt")
        output = model.generate(**inputs, max_new_tokens=NEW_TOKENS, do_sample=False)
        results.append(without_end(output[0, inputs["input_ids"].shape[1] :].tolist()))
    return results


def without_end(ids: list[int], end: int = 2) -> list[int]:
    return ids[: ids.index(end)] if end in ids else ids


def test_logits_agree(pipe, reference):
    model, tokenizer = reference
    for prompt in PROMPTS:
        ids = tokenizer(prompt, return_tensors="pt")["input_ids"]
        assert pipe.preprocessor.encode(prompt) == ids[0].tolist()
        with torch.inference_mode():
            assert_logits_agree(pipe.model({"input_ids": ids}).logits, model(ids).logits)


def test_greedy_tokens_are_transformers_tokens_alone(pipe, expected):
    for prompt, ids in zip(PROMPTS, expected, strict=True):
        generated = pipe(prompt, max_new_tokens=NEW_TOKENS, do_sample=False)
        assert without_end(list(generated.token_ids)) == ids, prompt


def test_greedy_tokens_are_transformers_tokens_in_padded_batches(pipe, expected):
    results = pipe(list(PROMPTS), max_new_tokens=NEW_TOKENS, do_sample=False, batch_size=8)
    for prompt, generated, ids in zip(PROMPTS, results, expected, strict=True):
        assert without_end(list(generated.token_ids)) == ids, prompt


def test_a_chat_is_rendered_and_answered_as_by_transformers(pipe, reference):
    model, tokenizer = reference
    messages = [{"role": "user", "content": "What is the capital of France?"}]
    assert pipe.preprocessor.apply_chat_template(messages) == tokenizer.apply_chat_template(
        messages, tokenize=False, add_generation_prompt=True
    )
    inputs = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    output = model.generate(**inputs, max_new_tokens=40, do_sample=False)
    ids = output[0, inputs["input_ids"].shape[1] :].tolist()
    generated = pipe(messages, max_new_tokens=40, do_sample=False)
    assert without_end(list(generated.token_ids)) == without_end(ids)
    assert "Paris" in generated.text
    assert "".join(pipe.stream(messages, max_new_tokens=40, do_sample=False)) == generated.text


def test_saving_again_changes_no_byte(directory, tmp_path):
    model, preprocessor = zoo.load(directory)
    zoo.save(model, tmp_path / "again", preprocessor=preprocessor)
    assert_same_tensors(tmp_path / "again", directory)
    for name in ("config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"):
        assert (tmp_path / "again" / name).read_bytes() == (directory / name).read_bytes()


def test_the_dequantised_weights_are_those_that_transformers_reads_from_the_gguf(smollm2_gguf, directory):
    theirs = transformers.LlamaForCausalLM.from_pretrained(smollm2_gguf.parent, gguf_file=smollm2_gguf.name)
    ours, _ = zoo.load(directory, task=None)
    expected = theirs.model.state_dict()
    for name, tensor in ours.state_dict().items():
        assert torch.equal(tensor, expected[name]), name


def test_the_default_preset_is_the_installed_package(smollm2_gguf):
    model, _ = zoo.load("llama", dtype="bfloat16")
    assert model.origin.reference == "llama"
    assert model.config.hidden_size == 576
