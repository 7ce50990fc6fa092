"""Texts to labels: which token is classified, and what the pipeline refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForSequenceClassification

import zoo
from zoo.checkpoint.files import MemoryFiles
from zoo.preprocess.text import TextPreprocessor
from zoo.tasks.head_configs import LastTokenClassifierConfig
from zoo.tasks.text_classification import TextClassificationPipeline
from zoo.testing import assert_logits_agree, shake

PAD, CONTEXT = 0, 16
IDS = torch.randint(1, 97, (3, 11), generator=torch.Generator().manual_seed(1))


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return write(tmp_path / "classifier")[0]


def write(path: Path, **changes: Any) -> tuple[Path, LlamaForSequenceClassification]:
    values = {
        "vocab_size": 97,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "max_position_embeddings": CONTEXT,
        "num_labels": 3,
        "pad_token_id": PAD,
    }
    torch.manual_seed(0)
    model = LlamaForSequenceClassification(LlamaConfig(**(values | changes))).eval()
    shake(model)
    model.save_pretrained(path)
    return path, model


@pytest.mark.parametrize("columns", [slice(7, 11), slice(0, 4), slice(3, 5), slice(0, 11)])
@pytest.mark.parametrize("masked", [False, True])
def test_padding_is_told_by_its_id_as_in_transformers(tmp_path, columns, masked):
    """On the right, on the left, inside a text (where it is attended to), and all of a row."""
    path, reference = write(tmp_path / "r")
    ids = IDS.clone()
    ids[0, columns] = PAD
    ids[1, -1] = PAD  # real by the mask, as an end of text is that is padded with as well
    mask = torch.ones_like(ids)
    mask[0, columns] = int(columns == slice(3, 5))  # a hole in a text is no padding
    inputs = {"input_ids": ids, "attention_mask": mask} if masked else {"input_ids": ids}
    with torch.inference_mode():
        ours = zoo.load(path)[0](inputs).logits
        theirs = reference(**inputs).logits
    # A row of nothing but masked padding attends to nothing, which has no value to agree on.
    rows = slice(1, None) if masked and columns == slice(0, 11) else slice(None)
    assert_logits_agree(ours[rows], theirs[rows])


def test_without_a_padding_id_the_last_token_counts(tmp_path):
    path, reference = write(tmp_path / "r", pad_token_id=None)
    with torch.inference_mode():
        assert_logits_agree(zoo.load(path)[0]({"input_ids": IDS[:1]}).logits, reference(IDS[:1]).logits)


def test_a_padding_id_that_no_tensor_holds_is_refused():
    with pytest.raises(zoo.ConfigError, match="pad_token_id"):
        LastTokenClassifierConfig(pad_token_id=2**63)


def preprocessor() -> TextPreprocessor:
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())[:97]
    tokenizer = Tokenizer(models.BPE(vocab={letter: index for index, letter in enumerate(letters)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made = TextPreprocessor.from_files(MemoryFiles("(test)", {"tokenizer.json": tokenizer.to_str().encode()}), {})
    assert made is not None
    return made


def test_a_text_past_the_context_is_named_by_its_place_among_all(directory):
    pipe = TextClassificationPipeline(zoo.load(directory)[0], preprocessor())
    assert len(pipe("a" * CONTEXT)) == 3
    with pytest.raises(zoo.InvalidInput, match=rf"items\[2\] has 17 tokens.*context of {CONTEXT}"):
        pipe(["a", "b", "a" * (CONTEXT + 1)], batch_size=2)


@pytest.mark.parametrize("wrong", [{"batch_size": "x"}, {"batch_size": 0}, {"top": "x"}, {"top": True}])
def test_counts_that_are_none_are_refused_by_name(directory, wrong):
    pipe = TextClassificationPipeline(zoo.load(directory)[0], preprocessor())
    with pytest.raises(zoo.InvalidInput, match=f"{next(iter(wrong))}: expected a whole number above 0"):
        pipe(["a"], **wrong)


def test_what_is_no_text_is_refused(directory):
    pipe = TextClassificationPipeline(zoo.load(directory)[0], preprocessor())
    with pytest.raises(zoo.InvalidInput, match="A text or several were expected; found a value of type int"):
        pipe(7)


def test_several_scores_may_go_by_one_label_as_in_transformers(tmp_path):
    path, _ = write(tmp_path / "r", id2label={0: "bad", 1: "good", 2: "good"}, label2id={"bad": 0, "good": 2})
    model, _ = zoo.load(path)
    assert len(TextClassificationPipeline(model, preprocessor())("a")) == 3
    zoo.save(model, tmp_path / "ours")
    read = LlamaForSequenceClassification.from_pretrained(tmp_path / "ours").config
    assert (read.id2label, read.label2id) == ({0: "bad", 1: "good", 2: "good"}, {"bad": 0, "good": 2})


def test_a_label_that_a_caller_names_twice_is_refused(directory):
    with pytest.raises(zoo.InvalidInput, match="a label is named twice"):
        zoo.load(directory, labels=["a", "b", "a"])
