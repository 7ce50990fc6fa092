from __future__ import annotations

from collections import UserDict
from enum import StrEnum
from typing import Any

import pytest

from zoo.errors import InvalidInput
from zoo.preprocess.messages import plain_documents, plain_messages, plain_tools, plain_value

HELLO = {"role": "user", "content": "Hello"}


class Role(StrEnum):
    USER = "user"


@pytest.mark.parametrize(
    ("messages", "complaint"),
    [
        ("Hello", "a value of type str"),
        (HELLO, "a value of type dict"),
        (None, "found None"),
        ([], "no messages"),
        (["Hello"], r"messages\[0\]: a dict with 'role' and 'content' was expected; found a value of type str"),
        ([HELLO, {"content": "x"}], r"messages\[1\]: it has no 'role'"),
        ([{"role": None, "content": "x"}], r"messages\[0\]: its 'role' is None"),
        ([{"role": 1, "content": "x"}], r"messages\[0\]: its 'role' is a value of type int"),
        ([HELLO, HELLO, {"role": "user"}], r"messages\[2\] \(role 'user'\) has no 'content'"),
        ([{"role": "assistant", "content": None, "tool_calls": []}], "has no 'content'"),
        ([{"role": "user", "content": 5}], r"messages\[0\] \(role 'user'\): its 'content' is a value of type int"),
        ([{"role": "user", "content": {"text": "x"}}], "its 'content' is a value of type dict"),
        (
            [{"role": "user", "content": [{"image": object()}]}],
            r"\['content'\]\[0\]\['image'\] is a value of type object",
        ),
        ([{"role": "user", "content": "x", "extra": {1, 2}}], r"messages\[0\]\['extra'\] is a value of type set"),
    ],
)
def test_bad_messages_are_named(messages: Any, complaint: str) -> None:
    with pytest.raises(InvalidInput, match=complaint):
        plain_messages(messages)


def test_a_message_may_call_tools_instead_of_speaking() -> None:
    call = {"role": "assistant", "content": None, "tool_calls": [{"name": "f"}]}
    assert plain_messages((call,)) == [{"role": "assistant", "tool_calls": [{"name": "f"}]}]


def test_a_template_sees_copies_of_plain_types() -> None:
    content = [{"type": "text", "text": "x"}]
    message = UserDict({"role": Role.USER, "content": content})
    [plain] = plain_messages([message])
    assert plain == {"role": "user", "content": content}
    assert type(plain) is dict and type(plain["role"]) is str
    assert plain["content"] is not content and plain["content"][0] is not content[0]


def test_reasoning_is_known_by_all_its_names() -> None:
    [plain] = plain_messages([{"role": "assistant", "content": "x", "reasoning": "because"}])
    assert plain["reasoning_content"] == plain["thinking"] == plain["reasoning"] == "because"


def test_what_holds_itself_is_refused() -> None:
    cycle: list[Any] = []
    cycle.append(cycle)
    with pytest.raises(InvalidInput, match="nested more than 100 deep"):
        plain_value(cycle, "value")


def test_tools_are_schemas() -> None:
    def weather(place: str) -> str:
        """The weather."""
        return place

    schema = {"type": "function", "function": {"name": "weather"}}
    assert plain_tools(None) is None
    assert plain_tools([schema]) == [schema]
    with pytest.raises(InvalidInput, match=r"tools\[1\] is a Python callable; a JSON schema .*\n.*'parameters'"):
        plain_tools([schema, weather])
    with pytest.raises(InvalidInput, match=r"tools\[0\]: a JSON schema \(a dict\) was expected"):
        plain_tools(["weather"])
    with pytest.raises(InvalidInput, match="tools: a list"):
        plain_tools(schema)


def test_documents_are_dicts() -> None:
    assert plain_documents([{"title": "t", "text": "x"}]) == [{"title": "t", "text": "x"}]
    assert plain_documents(None) is None
    with pytest.raises(InvalidInput, match=r"documents\[0\]: a dict with 'title' and 'text'"):
        plain_documents(["x"])
    with pytest.raises(InvalidInput, match="documents: a list"):
        plain_documents("x")
