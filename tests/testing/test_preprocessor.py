"""The core's preprocessors keep what every one promises, and one with something wrong is caught."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers

from zoo.preprocess.image import ImagePreprocessor
from zoo.testing import PreprocessorConformance

SETTINGS = b'{"image_processor_type": "ViTImageProcessor",   "size": {"height": 8, "width": 8}}'


def tokenizer_files():
    tokenizer = Tokenizer(models.WordLevel({"[PAD]": 0, "[UNK]": 1, "a": 2, "cat": 3, "sat": 4}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "[PAD]", "unk_token": "[UNK]"}
    return {"tokenizer.json": tokenizer.to_str().encode(), "tokenizer_config.json": json.dumps(settings).encode()}


class Images(PreprocessorConformance):
    preprocessor = "image"
    files = {"preprocessor_config.json": SETTINGS}  # noqa: RUF012

    def items(self):
        generator = np.random.default_rng(0)
        return [generator.integers(0, 256, (20, 30, 3), dtype=np.uint8) for _ in range(2)]


class TestImages(Images):
    pass


class TestTexts(PreprocessorConformance):
    preprocessor = "text"
    files = tokenizer_files()

    def items(self):
        return ["a cat sat", "a dog"]


SLOW = frozenset({"test_manifest_loads_in_a_fresh_process_without_torch"})
calls = iter(range(10**6))
right = {name: getattr(ImagePreprocessor, name) for name in ("files", "collate", "__call__")}
right_from_files = ImagePreprocessor.from_files.__func__

WRONG = {
    "a file is written anew": (
        "files",
        lambda self: {name: json.dumps(json.loads(each)).encode() for name, each in right["files"](self).items()},
        {"test_files_round_trip"},
        "files() gives preprocessor_config.json otherwise than it was read",
    ),
    "something is drawn": (
        "collate",
        lambda self, items: {"pixel_values": right["collate"](self, items)["pixel_values"] + next(calls)},
        {"test_preprocessing_is_deterministic", "test_written_files_mean_the_same"},
        "The second call gives other inputs: pixel_values",
    ),
    "an item is lost": (
        "__call__",
        lambda self, items: right["__call__"](self, items)[1:],
        {"test_collate_gives_batches_of_tensors"},
        "2 items give 1 prepared ones",
    ),
    "collate gives arrays": (
        "collate",
        lambda self, items: {"ids": Array(right["collate"](self, items)["pixel_values"])},
        {"test_collate_gives_batches_of_tensors"},
        "collate gives 'ids' as Array",
    ),
    "there is one without files": (
        "from_files",
        classmethod(lambda cls, files, config: right_from_files(cls, files, config) or object()),
        {"test_without_files_there_is_none"},
        "Return None where its files are not there",
    ),
    "its files are not found": (
        "from_files",
        classmethod(lambda cls, files, config: None),
        {
            "test_files_round_trip",
            "test_written_files_mean_the_same",
            "test_preprocessing_is_deterministic",
            "test_collate_gives_batches_of_tensors",
        },
        "finds none of its files among preprocessor_config.json",
    ),
}


class Array:
    """What is no tensor, but looks like one."""

    def __init__(self, tensor: torch.Tensor) -> None:
        self.tensor, self.shape = tensor, tensor.shape

    def equal(self, other: Array) -> bool:
        return self.tensor.equal(other.tensor)


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_wrong_is_caught(outcomes, monkeypatch, wrong):
    name, replacement, checks, said = WRONG[wrong]
    monkeypatch.setattr(ImagePreprocessor, name, replacement)
    failed = outcomes(Images, left_out=SLOW)
    assert set(failed) == checks, failed
    assert any(said in message for message in failed.values()), failed


def test_settings_that_are_not_written_are_caught(outcomes):
    class Halved(Images):
        def built(self, contents=None):
            made = super().built(contents)
            if contents is None:  # what was not read from the files that it wrote
                made._table = made._table / 2
            return made

    failed = outcomes(Halved, left_out=SLOW)
    assert set(failed) == {"test_written_files_mean_the_same"}, failed
