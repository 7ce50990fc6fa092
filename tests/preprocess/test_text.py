from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from zoo.checkpoint.files import MemoryFiles
from zoo.errors import InvalidInput, MissingDependency, TemplateError
from zoo.interfaces import Preprocessor
from zoo.preprocess import TextItem, TextPreprocessor

CHATML = (Path(__file__).parent / "templates" / "chatml.jinja").read_text("utf-8")
SETTINGS = {"eos_token": "<|im_end|>", "bos_token": "<|im_start|>", "unk_token": "<|endoftext|>"}
ASK = [{"role": "user", "content": "Hi"}]

Make = Callable[..., TextPreprocessor]


@pytest.fixture
def make(write_tokenizer: Callable[..., Path], load: Callable[[Path], TextPreprocessor]) -> Make:
    def make(
        kind: str = "byte-level", settings: dict[str, Any] | None = None, template: str | None = CHATML, **options: Any
    ) -> TextPreprocessor:
        files = {} if template is None else {"chat_template.jinja": template}
        settings = SETTINGS if settings is None else settings
        return load(write_tokenizer(kind, settings, files=files, **options))

    return make


def test_keeps_the_contract_of_preprocessors(make: Make) -> None:
    assert isinstance(make(), Preprocessor)


def test_importing_it_is_cheap() -> None:
    code = "import sys, zoo.preprocess.text; print({'torch', 'tokenizers', 'jinja2', 'numpy'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


def test_texts_and_chats_become_items(make: Make) -> None:
    preprocessor = make("byte-level-bos")
    text, chat = preprocessor(["Hi", ASK])
    assert text == TextItem("Hi", tuple(preprocessor.encode("Hi")))
    assert text.ids[0] == preprocessor.bos_token_id
    assert chat.text == preprocessor.apply_chat_template(ASK) and chat.text.endswith("<|im_start|>assistant\n")
    assert chat.ids == tuple(preprocessor.encode_chat(ASK)), "the template brings its own beginning"
    [bare] = preprocessor(["Hi"], add_special_tokens=False)
    assert bare.ids == text.ids[1:]
    [closed] = preprocessor([ASK], add_generation_prompt=False)
    assert not closed.text.endswith("assistant\n")


@pytest.mark.parametrize(
    ("items", "complaint"),
    [
        ("Hello", "A list of texts or chats was expected; found one str"),
        ({"role": "user", "content": "x"}, "found one dict"),
        (ASK, r"items\[0\] is one message"),
        (["Hello", ""], r"items\[1\] is an empty prompt"),
        (["Hello", 5], r"items\[1\]: A chat is a list of messages"),
        (["Hello", [{"content": "x"}]], r"items\[1\]: messages\[0\]: it has no 'role'"),
        (["a\ud800"], r"items\[0\] holds half of a character \(a lone surrogate\) at position 1"),
        ([[{"role": "user", "content": "\udfff"}]], r"items\[0\] holds half of a character"),
    ],
)
def test_bad_items_are_named(items: Any, complaint: str, make: Make) -> None:
    with pytest.raises(InvalidInput, match=complaint):
        make()(items)


def test_options_of_chats_are_not_lost_on_texts(make: Make) -> None:
    with pytest.raises(InvalidInput, match=r"items\[0\] is a text; tools: only chats"):
        make()(["Hello"], tools=[])


def test_bad_text_is_refused(make: Make) -> None:
    preprocessor = make()
    with pytest.raises(InvalidInput, match="The text is a value of type bytes"):
        preprocessor.encode(b"Hello")  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match=r"texts\[1\] is a value of type int"):
        preprocessor.encode_batch(["a", 1])  # type: ignore[list-item]
    with pytest.raises(InvalidInput, match="between 0 and"):
        preprocessor.decode([-1])


def test_batches_are_padded_on_the_left(make: Make) -> None:
    preprocessor = make(settings={**SETTINGS, "pad_token": "<|endoftext|>"})
    items = preprocessor(["one two three", "one"])
    batch = preprocessor.collate(items)
    length, short = len(items[0].ids), len(items[1].ids)
    padding = length - short
    assert padding > 0
    expected = [list(items[0].ids), [preprocessor.pad_token_id] * padding + list(items[1].ids)]
    assert batch["input_ids"].dtype == batch["attention_mask"].dtype == torch.long
    assert batch["input_ids"].tolist() == expected
    assert batch["attention_mask"].tolist() == [[1] * length, [0] * padding + [1] * short]

    preprocessor.padding_side = "right"
    batch = preprocessor.collate(items)
    assert batch["input_ids"].tolist()[1] == list(items[1].ids) + [preprocessor.pad_token_id] * padding
    assert batch["attention_mask"].tolist()[1] == [1] * short + [0] * padding


def test_without_padding_there_is_no_mask(make: Make) -> None:
    preprocessor = make()
    batch = preprocessor.collate(preprocessor(["one", "one"]))
    assert batch["input_ids"].shape[0] == 2
    assert batch["attention_mask"] is None
    with pytest.raises(InvalidInput, match="no items"):
        preprocessor.collate([])


@pytest.mark.parametrize(("settings", "padding"), [({"eos_token": "<|im_end|>"}, 2), ({}, 0)])
def test_padding_falls_back(settings: dict[str, Any], padding: int, make: Make) -> None:
    preprocessor = make(settings=settings)
    assert preprocessor.pad_token_id is None
    batch = preprocessor.collate([TextItem("", (5, 6)), TextItem("", (7,))])
    assert batch["input_ids"].tolist() == [[5, 6], [padding, 7]]


def test_a_missing_torch_is_told(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    preprocessor = make()
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingDependency, match=r"extra 'torch'.*pip install -e '\.\[torch\]'"):
        preprocessor.collate(preprocessor(["one"]))


def test_outputs_become_texts(make: Make) -> None:
    preprocessor = make()
    items = preprocessor(["a", "b"])
    end = preprocessor.eos_token_id
    rows = [[*preprocessor.encode("Paris"), end], torch.tensor(preprocessor.encode("London"))]
    assert preprocessor.postprocess(rows, items) == ["Paris", "London"]
    with pytest.raises(InvalidInput, match="1 outputs for 2 items"):
        preprocessor.postprocess(rows[:1], items)


def test_tokens_are_known_by_their_roles(make: Make) -> None:
    preprocessor = make()
    assert preprocessor.special_tokens == SETTINGS
    assert (preprocessor.unk_token_id, preprocessor.bos_token_id, preprocessor.eos_token_id) == (0, 1, 2)
    assert preprocessor.special_token_ids == {0, 1, 2}
    assert preprocessor.encode("<|im_end|>") == [2]
    assert preprocessor.decode([2]) == ""
    assert preprocessor.decode([2], skip_special_tokens=False) == "<|im_end|>"


def test_special_tokens_are_counted_in_the_vocabulary(make: Make) -> None:
    bigger = make(settings={**SETTINGS, "pad_token": "<pad>"}, directory="bigger")
    assert bigger.vocab_size == make().vocab_size + 1
    assert bigger.pad_token_id == bigger.vocab_size - 1


class TestEndOfTurn:
    def test_is_the_token_after_the_reply(self, make: Make) -> None:
        assert make().end_of_turn_ids() == {2}

    def test_need_not_be_at_once_nor_the_last(self, make: Make) -> None:
        template = "{% for m in messages %}{{ m.content }}\n ### {{ eos_token }}\n{{ bos_token }}{% endfor %}"
        assert make(template=template).end_of_turn_ids() == {2}

    def test_may_be_an_added_token_that_is_not_special(self, make: Make) -> None:
        flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": False}
        settings = {
            "added_tokens_decoder": {
                "900": {"content": "\n", **flags},
                "901": {"content": "<end_of_turn>", **flags},
            }
        }
        template = "{% for m in messages %}{{ m.content }}\n<end_of_turn>{% endfor %}"
        preprocessor = make(settings=settings, template=template)
        assert preprocessor.end_of_turn_ids() == set(preprocessor.encode("<end_of_turn>"))

    @pytest.mark.parametrize(
        "template",
        [
            None,
            "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}",
            "{{ eos_token }}{{ messages[0].content }}",
            "{{ raise_exception('a system message is needed') }}",
            "{% broken",
        ],
    )
    def test_is_not_guessed(self, template: str | None, make: Make) -> None:
        assert make(template=template).end_of_turn_ids() == frozenset()


class TestTemplates:
    def test_a_model_without_one_says_so(self, make: Make) -> None:
        with pytest.raises(TemplateError, match="this model has no chat template, so it can't be given messages"):
            make(template=None).apply_chat_template(ASK)

    def test_one_may_be_given(self, make: Make) -> None:
        preprocessor = make(template=None)
        source = "{{ bos_token }}{{ messages[0].content }}{{ mood }}"
        assert preprocessor.apply_chat_template(ASK, template=source, mood="!") == "<|im_start|>Hi!"

    def test_a_broken_one_does_not_stop_plain_text(self, make: Make) -> None:
        preprocessor = make(template="{% if %}")
        assert preprocessor.decode(preprocessor.encode("Hello")) == "Hello"
        with pytest.raises(TemplateError, match="'default', line 1: Expected an expression"):
            preprocessor.apply_chat_template(ASK)

    def test_variables_are_plain_data(self, make: Make) -> None:
        with pytest.raises(InvalidInput, match="mood is a value of type function"):
            make().apply_chat_template(ASK, mood=lambda: 1)

    def test_sources_can_be_read(self, make: Make) -> None:
        assert make().chat_templates == {"default": CHATML}


def test_reads_what_a_checkpoint_carries_itself(trained: dict[str, str]) -> None:
    contents = {"tokenizer.json": trained["byte-level"].encode, "chat_template.jinja": CHATML.encode}
    preprocessor = TextPreprocessor.from_files(MemoryFiles("model.gguf", contents), {})
    assert preprocessor is not None
    assert preprocessor.files() == {name: content() for name, content in contents.items()}
    assert repr(preprocessor) == f"TextPreprocessor('model.gguf', vocab_size={preprocessor.vocab_size})"
