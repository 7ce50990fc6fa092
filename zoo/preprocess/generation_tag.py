"""`{% generation %} ... {% endgeneration %}`: marks what the assistant wrote, for training on that alone."""

from __future__ import annotations

from jinja2 import nodes
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.runtime import Macro

from zoo.preprocess.meter import METER

__all__ = ["GenerationTag"]


class GenerationTag(Extension):
    """Notes the span of characters that its body writes, in the meter of the running rendering."""

    tags = {"generation"}  # noqa: RUF012 - jinja2 declares it as an instance's set

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.CallBlock(self.call_method("_note"), [], [], body).set_lineno(line)

    def _note(self, caller: Macro) -> str:
        text: str = caller()
        meter = METER.get()
        meter.spans.append((meter.output_length, meter.output_length + len(text)))
        return text
