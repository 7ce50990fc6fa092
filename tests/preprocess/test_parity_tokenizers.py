# ruff: noqa: RUF001 - ambiguous characters are what tokenizers are to be tried with
"""Ids and texts are those of transformers' AutoTokenizer, for every kind of tokenizer and spelling of its files."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import transformers
from transformers.models.auto import tokenization_auto

from zoo.preprocess import TextPreprocessor
from zoo.preprocess.tokenizer_classes import AS_IS_MODEL_TYPES

WRITTEN = [
    "",
    " ",
    "   ",
    "\n",
    "\n\n\n",
    "\t tab",
    "Hello, world!",
    " leading space",
    "trailing space ",
    "  two  and   three   ",
    "x = [1,  2,   3]",
    "1234567890 12 3.14159",
    "a1b22c333",
    "I'm sure they've said 'no', isn't it?",
    "do n't , do n ' t . really ? yes !",
    "UPPER lower Title cAmEl",
    "café cafe\u0301 A\u030a\u0308",
    "ﬁ ligature, ｆｕｌｌ width, ①",
    "日本語のテキスト",
    "中文，文本。",
    "한국어 텍스트",
    "שלום עולם",
    "مرحبا بالعالم",
    "हिन्दी में पाठ",
    "ภาษาไทย",
    "😀",
    "👩‍👩‍👧‍👦 family",
    "🇫🇷🇩🇪",
    "👍🏽 skin",
    "mixed 日本 and 😀 and abc",
    "\u200b zero width \u200d",
    "\u00a0no-break\u2003em space",
    "\x00\x01\x7f control",
    "\ufeffbyte order mark",
    "\ufffd replacement",
    "\U0010ffff last",
    "𝔘𝔫𝔦𝔠𝔬𝔡𝔢",
    "Ａ１",
    "<s>",
    "</s>",
    "<unk>",
    "text with <s> inside </s> it",
    "<s><s></s></s>",
    "<s> [INST] Hi [/INST]",
    "<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n",
    "no<|im_end|>space",
    "<|im_end|> space after",
    "space before <|im_end|>",
    "<|endoftext|><|endoftext|>",
    "[CLS] a [SEP] b [MASK] [PAD]",
    "<|im_start",
    "<|IM_START|>",
    "<extra_0>and<extra_1> more",
    "<0x0A> literal byte token",
    "▁underscore▁like▁sentencepiece",
    "Ġ byte level letters Ċ",
    "##pieces ##ing",
    "def f(x):\n\treturn x\n\n\nclass A:\n    pass",
    "https://example.org/a?b=c&d=%20#e",
    "a" * 300,
    "ab " * 100,
    "…—–‘’“”",
    "e\u0301" * 20,
    "\r\nwindows\r\nlines\r",
]


def texts() -> list[str]:
    chance = random.Random(0)
    pieces = [*WRITTEN, *"abc ABC 012 .,!?'\n éß日😀"]
    return [*WRITTEN, *("".join(chance.choices(pieces, k=chance.randint(1, 4))) for _ in range(160))]


def added_token(content: str, **flags: bool) -> dict[str, Any]:
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return {"content": content, **plain, **flags}


CHATML = {"bos_token": "<|im_start|>", "eos_token": "<|im_end|>", "unk_token": "<|endoftext|>"}
LLAMA = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
LLAMA_DECODER = {str(index): added_token(text) for index, text in enumerate(["<unk>", "<s>", "</s>"])}
BERT = {"unk_token": "[UNK]", "sep_token": "[SEP]", "pad_token": "[PAD]", "cls_token": "[CLS]", "mask_token": "[MASK]"}


def no_post_processor(contents: dict[str, Any]) -> None:
    contents["post_processor"] = None


def old_merges(contents: dict[str, Any]) -> None:
    contents["model"]["merges"] = [" ".join(merge) for merge in contents["model"]["merges"]]


def truncate_and_pad(contents: dict[str, Any]) -> None:
    contents["truncation"] = {"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0}
    contents["padding"] = {
        "strategy": {"Fixed": 16},
        "direction": "Right",
        "pad_to_multiple_of": None,
        "pad_id": 0,
        "pad_type_id": 0,
        "pad_token": "[PAD]",
    }


CASES: dict[str, tuple[str, dict[str, Any] | None, dict[str, Any], Callable[[dict[str, Any]], None] | None]] = {
    "no tokenizer_config": ("byte-level", None, {}, None),
    "class of no one": ("byte-level", {"tokenizer_class": "PreTrainedTokenizerFast", **CHATML}, {}, None),
    "begins by its post-processor": ("byte-level-bos", {"tokenizer_class": "TokenizersBackend", **CHATML}, {}, None),
    "add_bos_token is disregarded": (
        "byte-level-bos",
        {"tokenizer_class": "PreTrainedTokenizerFast", "add_bos_token": False, "add_eos_token": True, **CHATML},
        {},
        None,
    ),
    "Llama 3": ("byte-level-bos", {"tokenizer_class": "LlamaTokenizer", **CHATML}, {}, None),
    "GPT-2's own pipeline": ("byte-level", {"tokenizer_class": "GPT2Tokenizer", **CHATML}, {}, None),
    "GPT-2 with a prefix": (
        "byte-level-bos",
        {"tokenizer_class": "GPT2TokenizerFast", "add_prefix_space": True, "add_bos_token": True},
        {"config.json": {"model_type": "llama"}},
        old_merges,
    ),
    "GPT-2 by its model type": ("byte-level", {"bos_token": None}, {"config.json": {"model_type": "gpt2"}}, None),
    "Granite keeps its own": (
        "byte-level",
        {"tokenizer_class": "GPT2Tokenizer", **CHATML},
        {"config.json": {"model_type": "granite"}},
        None,
    ),
    "Llama 2": (
        "byte-fallback",
        {"tokenizer_class": "LlamaTokenizer", "legacy": False, "added_tokens_decoder": LLAMA_DECODER, **LLAMA},
        {"config.json": {"model_type": "llama"}},
        None,
    ),
    "Llama 2, legacy": (
        "byte-fallback",
        {
            "tokenizer_class": "LlamaTokenizerFast",
            "legacy": True,
            "add_bos_token": False,
            "bos_token": {"__type": "AddedToken", **added_token("<s>", normalized=True)},
            "eos_token": {"__type": "AddedToken", **added_token("</s>", normalized=True)},
            "unk_token": {"__type": "AddedToken", **added_token("<unk>", normalized=True)},
        },
        {},
        old_merges,
    ),
    "Llama 2 without a prefix": (
        "byte-fallback",
        {"tokenizer_class": "LlamaTokenizer", "add_prefix_space": False},
        {},
        no_post_processor,
    ),
    "Llama 2 by special_tokens_map": (
        "byte-fallback",
        {"tokenizer_class": "LlamaTokenizer", "pad_token": None},
        {
            "special_tokens_map.json": {
                "bos_token": added_token("<s>"),
                "eos_token": {"content": "</s>", "lstrip": True, "normalized": False, "rstrip": True},
                "unk_token": "<unk>",
                "pad_token": "<pad>",
                "additional_special_tokens": ["<extra_0>", "<extra_1>"],
            },
            "added_tokens.json": {"<pad>": 700, "<extra_0>": 701, "<extra_1>": 702, "[INST]": 703},
        },
        None,
    ),
    "Llama 2's class named by config.json": (
        "byte-fallback",
        {},
        {"config.json": {"model_type": "llama", "tokenizer_class": "LlamaTokenizer"}},
        None,
    ),
    "Llama 2 as it stands": ("byte-fallback", {"tokenizer_class": "PreTrainedTokenizerFast", **LLAMA}, {}, None),
    "Mistral keeps its own": (
        "byte-fallback",
        {"tokenizer_class": "LlamaTokenizer", "added_tokens_decoder": LLAMA_DECODER, **LLAMA},
        {"config.json": {"model_type": "mistral"}},
        None,
    ),
    "WordPiece": ("word-piece", {"tokenizer_class": "PreTrainedTokenizerFast", **BERT}, {}, None),
    "WordPiece, cleaned up": (
        "word-piece",
        {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": True, **BERT},
        {},
        None,
    ),
    "BPE is not cleaned up": (
        "byte-level",
        {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": True, **CHATML},
        {},
        None,
    ),
    "BPE, cleaned up by force": (
        "byte-level",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "clean_up_tokenization_spaces": True,
            "clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output": True,
        },
        {},
        None,
    ),
    "Unigram": ("unigram", {"tokenizer_class": "PreTrainedTokenizerFast", **LLAMA}, {}, None),
    "Unigram, cleaned up": ("unigram", {"clean_up_tokenization_spaces": True, **LLAMA}, {}, None),
    "new tokens": (
        "byte-level",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "pad_token": "<pad>",
            "image_token": "<image>",
            "additional_special_tokens": [
                "<extra_0>",
                {"__type": "AddedToken", **added_token("<extra_1>", lstrip=True)},
            ],
            **CHATML,
        },
        {},
        None,
    ),
    "named new tokens": (
        "byte-fallback",
        {
            "tokenizer_class": "LlamaTokenizer",
            "extra_special_tokens": {"boi_token": "<extra_0>", "eoi_token": "<extra_1>"},
        },
        {},
        None,
    ),
    "added tokens that are not special": (
        "byte-level",
        {
            "added_tokens_decoder": {
                "0": added_token("<|endoftext|>"),
                "2": added_token("<|im_end|>", special=False),
                "700": added_token("<extra_1>", special=False, rstrip=True),
                "701": added_token("word", special=False, single_word=True, normalized=True),
            },
            "eos_token": "<|endoftext|>",
        },
        {},
        None,
    ),
    "padding and truncation are for others": (
        "word-piece",
        {"tokenizer_class": "TokenizersBackend"},
        {},
        truncate_and_pad,
    ),
    "special tokens as text": ("byte-level", {"split_special_tokens": True, **CHATML}, {}, None),
}


@pytest.mark.parametrize("case", CASES)
def test_equals_transformers(
    case: str, write_tokenizer: Callable[..., Path], load: Callable[[Path], TextPreprocessor], tmp_path: Path
) -> None:
    kind, settings, files, edit = CASES[case]
    directory = write_tokenizer(kind, settings, files=files, edit=edit)
    reference = transformers.AutoTokenizer.from_pretrained(directory)
    assert_same(load(directory), reference)

    reference.save_pretrained(tmp_path / "saved")
    assert_same(load(tmp_path / "saved"), transformers.AutoTokenizer.from_pretrained(tmp_path / "saved"))


def assert_same(preprocessor: TextPreprocessor, reference: Any) -> None:
    assert preprocessor.vocab_size == len(reference)
    assert preprocessor.special_tokens == reference.special_tokens_map
    for role in ("bos", "eos", "unk", "pad"):
        assert getattr(preprocessor, f"{role}_token_id") == getattr(reference, f"{role}_token_id")
    added = reference.added_tokens_decoder
    assert preprocessor.special_token_ids == {index for index, token in added.items() if token.special}
    given = texts()
    assert len(given) >= 200
    for special in (True, False):
        expected = reference(given, add_special_tokens=special)["input_ids"]
        assert [preprocessor.encode(text, add_special_tokens=special) for text in given] == expected
        assert preprocessor.encode_batch(given, add_special_tokens=special) == expected
        for ids in expected:
            for skip in (True, False):
                assert preprocessor.decode(ids, skip_special_tokens=skip) == reference.decode(
                    ids, skip_special_tokens=skip
                )
    chance = random.Random(1)
    for _ in range(100):  # ids that no text gives: halves of characters, words without their beginning
        ids = chance.choices(range(len(reference) + 5), k=chance.randint(0, 12))
        assert preprocessor.decode(ids) == reference.decode(ids, skip_special_tokens=True)


def test_files_come_back_as_they_were_and_load_in_transformers(
    write_tokenizer: Callable[..., Path], load: Callable[[Path], TextPreprocessor], tmp_path: Path
) -> None:
    directory = write_tokenizer(
        "byte-fallback",
        {"tokenizer_class": "LlamaTokenizer", "x": [1, 2.50], **LLAMA},
        files={
            "special_tokens_map.json": '{"bos_token":  "<s>"}\r\n',
            "added_tokens.json": "{}",
            "chat_template.jinja": "{% for m in messages %}\r\n{{ m.content }}{% endfor %}\n\n",
            "additional_chat_templates/tool_use.jinja": "{{ tools }}",
            "tokenizer.model": "for other programs",
            "README.md": "not a tokenizer's",
        },
    )
    saved = tmp_path / "saved"
    files = load(directory).files()
    for name, content in files.items():
        (saved / name).parent.mkdir(parents=True, exist_ok=True)
        (saved / name).write_bytes(content)
    originals = {path.relative_to(directory).as_posix(): path.read_bytes() for path in directory.rglob("*.*")}
    del originals["README.md"]
    assert files == originals
    before, after = (transformers.AutoTokenizer.from_pretrained(path) for path in (directory, saved))
    assert before(texts())["input_ids"] == after(texts())["input_ids"]
    assert before.chat_template == after.chat_template


@pytest.mark.skipif(
    not transformers.__version__.startswith("5.23."),
    reason="the list is that of the version that ids are compared with",
)
def test_model_types_whose_class_is_disregarded() -> None:
    backends = ("TokenizersBackend", "MistralCommonBackend")
    mapped = {name for name, cls in tokenization_auto.TOKENIZER_MAPPING_NAMES.items() if cls in backends}
    assert mapped | tokenization_auto.MODELS_WITH_INCORRECT_HUB_TOKENIZER_CLASS == AS_IS_MODEL_TYPES
