"""Chat messages: what they must look like, and the plain copies of them that a template is shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from zoo.errors import InvalidInput

__all__ = ["plain_documents", "plain_messages", "plain_tools", "plain_value"]

_DEEPEST = 100
_REASONING = ("reasoning_content", "thinking", "reasoning")


def plain_messages(messages: Any) -> list[dict[str, Any]]:
    """Checked copies of the messages of a chat.

    As in the Hub's reference, keys that hold None are left out, and reasoning is given under each name it is known by.
    Raises InvalidInput naming the message and what is wrong with it.
    """
    if not _is_list(messages):
        raise InvalidInput(
            f"A chat is a list of messages, each with a 'role' and 'content'; found {_kind(messages)}.",
            hint="Pass [{'role': 'user', 'content': 'Hello'}].",
        )
    if not messages:
        raise InvalidInput("The chat holds no messages; a template needs at least one.")
    return [_plain_message(message, f"messages[{index}]") for index, message in enumerate(messages)]


def plain_tools(tools: Any) -> list[dict[str, Any]] | None:
    """Checked copies of JSON schemas of tools."""
    if tools is None:
        return None
    if not _is_list(tools):
        raise InvalidInput(f"tools: a list of JSON schemas was expected; found {_kind(tools)}.")
    for index, tool in enumerate(tools):
        if isinstance(tool, Callable):  # type: ignore[arg-type]
            raise InvalidInput(
                f"tools[{index}] is a Python callable; a JSON schema (a dict) was expected.",
                hint="Functions aren't turned into schemas here. Write one: {'type': 'function', 'function': "
                "{'name': ..., 'description': ..., 'parameters': {...}}}.",
            )
        if not isinstance(tool, Mapping):
            raise InvalidInput(f"tools[{index}]: a JSON schema (a dict) was expected; found {_kind(tool)}.")
    return [plain_value(tool, f"tools[{index}]") for index, tool in enumerate(tools)]


def plain_documents(documents: Any) -> list[dict[str, Any]] | None:
    """Checked copies of documents to answer from."""
    if documents is None:
        return None
    if not _is_list(documents):
        raise InvalidInput(f"documents: a list of dicts was expected; found {_kind(documents)}.")
    for index, document in enumerate(documents):
        if not isinstance(document, Mapping):
            raise InvalidInput(
                f"documents[{index}]: a dict with 'title' and 'text' was expected; found {_kind(document)}."
            )
    return [plain_value(document, f"documents[{index}]") for index, document in enumerate(documents)]


def plain_value(value: Any, place: str, depth: int = 0) -> Any:
    """A copy made of None, bool, int, float, str, list, tuple and dict, the only things that a template may touch.

    Raises InvalidInput for anything else: the methods of a rich object would be the template's to call.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int.__int__(value)
    if isinstance(value, float):
        return float.__float__(value)
    if depth > _DEEPEST:
        raise InvalidInput(f"{place} is nested more than {_DEEPEST} deep.")
    if isinstance(value, Mapping):
        return {
            plain_value(key, f"{place}: a key", depth + 1): plain_value(item, f"{place}[{key!r}]", depth + 1)
            for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        items = [plain_value(item, f"{place}[{index}]", depth + 1) for index, item in enumerate(value)]
        return items if isinstance(value, list) else tuple(items)
    raise InvalidInput(
        f"{place} is {_kind(value)}; a chat template is shown only None, bool, int, float, str, list, tuple and dict."
    )


def _plain_message(message: Any, place: str) -> dict[str, Any]:
    if not isinstance(message, Mapping):
        raise InvalidInput(f"{place}: a dict with 'role' and 'content' was expected; found {_kind(message)}.")
    if not isinstance(message.get("role"), str):
        problem = f"its 'role' is {_kind(message['role'])}" if "role" in message else "it has no 'role'"
        raise InvalidInput(f"{place}: {problem}; a str was expected, such as 'system', 'user' or 'assistant'.")
    content = message.get("content")
    if content is None and not message.get("tool_calls"):
        raise InvalidInput(f"{place} (role {message['role']!r}) has no 'content'.")
    if content is not None and not isinstance(content, str) and not _is_list(content):
        raise InvalidInput(
            f"{place} (role {message['role']!r}): its 'content' is {_kind(content)}; "
            "a str, or a list of parts, was expected."
        )
    plain = {key: item for key, item in plain_value(message, place).items() if item is not None}
    reasoning = next((plain[name] for name in _REASONING if name in plain), None)
    return plain if reasoning is None else {"thinking": reasoning, **plain, "reasoning_content": reasoning}


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes, bytearray))


def _kind(value: Any) -> str:
    return "None" if value is None else f"a value of type {type(value).__name__}"
