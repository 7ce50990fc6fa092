"""Prompts are those of transformers' apply_chat_template, on templates as real models have them."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import transformers

from zoo.errors import TemplateError
from zoo.preprocess import TextPreprocessor

FOLDER = Path(__file__).parent / "templates"
TEMPLATES = ("chatml", "llama_3", "mistral", "everything", "generation")

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "description": 'The weather "now" in <a> place & après-midi',
            "parameters": {
                "type": "object",
                "properties": {"place": {"type": "string", "enum": ["Paris", "日本"]}, "days": {"type": "integer"}},
                "required": ["place"],
            },
            "return": {"type": "string"},
        },
    },
    {"type": "function", "function": {"name": "nothing", "parameters": {"type": "object", "properties": {}}}},
]
CALL = {"type": "function", "function": {"name": "weather", "arguments": {"place": "Paris", "hot": True, "n": None}}}

CHATS: dict[str, list[dict[str, Any]]] = {
    "one": [{"role": "user", "content": "What is the capital of France?"}],
    "many": [
        {"role": "system", "content": "  Be brief.\n"},
        {"role": "user", "content": "Hi <|im_end|> there"},
        {"role": "assistant", "content": "<think>\nhm\n</think>\n\n Hello 😀 "},
        {"role": "user", "content": "日本\n\n'quoted' \"twice\" \\ & <b>"},
    ],
    "nulls": [
        {"role": "user", "content": "Weather?", "name": None},
        {"role": "assistant", "content": "", "tool_calls": [CALL]},
        {"role": "tool", "content": "22 degrees", "tool_call_id": "1"},
        {"role": "assistant", "content": "Warm.", "reasoning": "22 is warm", "tool_calls": None},
    ],
    "parts": [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}],
    "twice the same role": [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}],
}
OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "prompted": {"add_generation_prompt": True},
    "tools": {"tools": TOOLS, "add_generation_prompt": True},
    "documents": {"documents": [{"title": "t", "text": "it's"}, {"title": "u", "text": ""}]},
    "variables": {
        "enable_thinking": False,
        "date_string": "1 Jan 2030",
        "bos_token": "<mine>",
        "add_generation_prompt": True,
    },
}


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("name", TEMPLATES)
def test_equals_transformers(
    name: str, options: str, write_tokenizer: Callable[..., Path], load: Callable[[Path], TextPreprocessor]
) -> None:
    settings = {"bos_token": "<|im_start|>", "eos_token": "<|im_end|>", "image_token": "<image>"}
    directory = write_tokenizer(
        "byte-level", settings, files={"chat_template.jinja": (FOLDER / f"{name}.jinja").read_text("utf-8")}
    )
    reference, preprocessor = transformers.AutoTokenizer.from_pretrained(directory), load(directory)
    rendered = 0
    for chat in CHATS.values():
        given = copy.deepcopy(chat)
        arguments = {"add_generation_prompt": False, **OPTIONS[options]}
        try:
            expected = reference.apply_chat_template(chat, tokenize=False, **arguments)
        except Exception:  # whatever the template makes of it there, here it is one error
            with pytest.raises(TemplateError):
                preprocessor.apply_chat_template(chat, **arguments)
            continue
        rendered += 1
        assert preprocessor.apply_chat_template(chat, **arguments) == expected
        assert preprocessor.encode_chat(chat, **arguments) == reference.apply_chat_template(
            chat, return_dict=False, **arguments
        )
        assert chat == given
    assert rendered >= 2


def test_masks_what_the_assistant_wrote(
    write_tokenizer: Callable[..., Path], load: Callable[[Path], TextPreprocessor]
) -> None:
    directory = write_tokenizer(
        "byte-level", files={"chat_template.jinja": (FOLDER / "generation.jinja").read_text("utf-8")}
    )
    chat = [*CHATS["many"], {"role": "assistant", "content": "Füür 😀"}, {"role": "user", "content": "bye"}]
    expected = transformers.AutoTokenizer.from_pretrained(directory).apply_chat_template(
        chat, return_dict=True, return_assistant_tokens_mask=True
    )
    preprocessor = load(directory)
    ids, mask = preprocessor.encode_chat_with_mask(chat)
    assert (ids, mask) == (expected["input_ids"], expected["assistant_masks"])
    written = preprocessor.decode(
        [index for index, ours in zip(ids, mask, strict=True) if ours], skip_special_tokens=False
    )
    assert written == "<think>\nhm\n</think>\n\n Hello 😀 <|im_end|>Füür 😀<|im_end|>"


@pytest.mark.parametrize(
    "settings",
    [
        {"chat_template": "only {{ messages[0].content }}"},
        {"chat_template": [{"name": "default", "template": "d"}, {"name": "tool_use", "template": "t {{ tools }}"}]},
        {"chat_template": [{"name": "rag", "template": "r"}, {"name": "tool_use", "template": "t"}]},
    ],
)
@pytest.mark.parametrize(
    "files",
    [
        {},
        {"chat_template.jinja": "file"},
        {"chat_template.jinja": "file\r\nwith\rbreaks", "additional_chat_templates/tool_use.jinja": "file's tools"},
        {"additional_chat_templates/rag.jinja": "file's rag"},
    ],
)
def test_the_same_template_is_chosen(
    settings: dict[str, Any],
    files: dict[str, str],
    write_tokenizer: Callable[..., Path],
    load: Callable[[Path], TextPreprocessor],
) -> None:
    directory = write_tokenizer("byte-level", settings, files=files)
    reference, preprocessor = transformers.AutoTokenizer.from_pretrained(directory), load(directory)
    for template in (None, "tool_use", "rag", "{{ 'given' }}"):
        for tools in (None, TOOLS):
            if isinstance(reference.chat_template, str) and template in ("tool_use", "rag"):
                with pytest.raises(TemplateError, match=f"no chat template '{template}'; there is: default"):
                    preprocessor.apply_chat_template(CHATS["one"], template=template, tools=tools)
                continue
            try:
                expected = reference.apply_chat_template(
                    CHATS["one"], chat_template=template, tools=tools, tokenize=False, add_generation_prompt=True
                )
            except ValueError:
                with pytest.raises(TemplateError, match="no chat template 'default'"):
                    preprocessor.apply_chat_template(CHATS["one"], template=template, tools=tools)
            else:
                if template in (None, "{{ 'given' }}") or template in reference.chat_template:
                    assert preprocessor.apply_chat_template(CHATS["one"], template=template, tools=tools) == expected
