"""A model's chat templates by name, and the prompts that they make."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from zoo.errors import InvalidInput, TemplateError
from zoo.interfaces.shown import shown
from zoo.preprocess.messages import plain_documents, plain_messages, plain_tools, plain_value
from zoo.registry import resolve_object

if TYPE_CHECKING:
    from zoo.preprocess.chat_template import ChatTemplate, Rendered

__all__ = ["ChatPrompts"]


class ChatPrompts:
    """Chooses, compiles once and renders templates. A template is compiled when it is first used."""

    def __init__(self, location: str, templates: Mapping[str, str], special_tokens: Mapping[str, str]) -> None:
        """location: for messages. templates: sources by name. special_tokens: given to every template by name."""
        self.templates = dict(templates)
        self._location = location
        self._special_tokens = dict(special_tokens)
        self._compiled: dict[str, ChatTemplate] = {}

    def render(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        add_generation_prompt: bool = True,
        tools: Sequence[Mapping[str, Any]] | None = None,
        documents: Sequence[Mapping[str, Any]] | None = None,
        template: str | None = None,
        **variables: Any,
    ) -> Rendered:
        """See `TextPreprocessor.apply_chat_template`."""
        return self._template(template, has_tools=tools is not None).render(
            {
                **self._special_tokens,
                **{name: plain_value(value, name) for name, value in variables.items()},
                "messages": plain_messages(messages),
                "tools": plain_tools(tools),
                "documents": plain_documents(documents),
                "add_generation_prompt": bool(add_generation_prompt),
            }
        )

    def _template(self, template: str | None, *, has_tools: bool) -> ChatTemplate:
        name, source = self._find(template, has_tools)
        if source not in self._compiled:
            self._compiled[source] = resolve_object("zoo.preprocess.chat_template:ChatTemplate")(source, name=name)
        return self._compiled[source]

    def _find(self, template: str | None, has_tools: bool) -> tuple[str, str]:
        if template is None:
            template = "tool_use" if has_tools and "tool_use" in self.templates else "default"
        if not isinstance(template, str):  # which a caller without a type checker may pass
            raise InvalidInput(f"template: expected a name or source, found {shown(template)}.")
        if template in self.templates:
            return template, self.templates[template]
        if "{" in template:  # no name, but a template itself
            return "(given)", template
        if not self.templates:
            raise TemplateError(
                f"{self._location}: this model has no chat template, so it can't be given messages.",
                hint="Pass a text instead, or a template: template='{% for message in messages %}...'.",
            )
        names = ", ".join(sorted(self.templates))
        raise TemplateError(f"{self._location}: there is no chat template '{template}'; there is: {names}.")
