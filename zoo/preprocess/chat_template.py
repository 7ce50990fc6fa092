"""Chat templates: jinja2 source that turns messages into a prompt, rendered within bounds as the reference does."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from jinja2 import Template, nodes
from jinja2.exceptions import SecurityError, TemplateSyntaxError

from zoo.errors import TemplateError
from zoo.preprocess.meter import METER, Limits, Meter, OutOfBounds
from zoo.preprocess.sandbox import BoundedEnvironment, Instrumentation

__all__ = ["ChatTemplate", "Rendered"]

_FILENAME = "<chat template>"
_LONGEST_SOURCE = 64 * 1024  # compiling grows with its square; the longest published template is under 32 KB
_LONGEST_DATE_FORMAT = 256


@dataclass(frozen=True)
class Rendered:
    """A prompt. generations: the spans of characters (start, end) that `{% generation %}` marks as the assistant's."""

    text: str
    generations: tuple[tuple[int, int], ...]


class ChatTemplate:
    """A compiled template. Rendering keeps no state, so one instance serves any number of threads."""

    def __init__(self, source: str, *, name: str = "default", limits: Limits | None = None) -> None:
        """name: for messages. Raises TemplateError, with the line, for what does not compile."""
        self.name = name
        self._limits = limits or Limits()
        self._template = self._compile(source)

    def render(self, variables: Mapping[str, Any]) -> Rendered:
        """variables: plain data (see `zoo.preprocess.messages`), `messages` among it.

        Raises TemplateError when the template raises, fails, reaches for what it must not, or runs past its limits.
        """
        meter = Meter(self._limits, variables.values())
        token = METER.set(meter)
        pieces = []
        try:
            for piece in self._template.generate(variables):
                meter.emit(piece)
                pieces.append(piece)
        except Exception as error:  # a template can raise anything, and all of it is the template's failure
            raise self._failure(error) from error
        finally:
            METER.reset(token)
        return Rendered("".join(pieces), tuple(meter.spans))

    def _compile(self, source: str) -> Template:
        if len(source) > _LONGEST_SOURCE:
            raise TemplateError(
                f"{self._label}: it is {len(source):,} characters long; at most {_LONGEST_SOURCE:,} are compiled."
            )
        environment = _environment()
        token = METER.set(Meter(self._limits))  # the compiler folds constants by running filters
        try:
            tree = environment.parse(source)
            for loading in tree.find_all((nodes.Extends, nodes.Include, nodes.Import, nodes.FromImport)):
                raise TemplateSyntaxError("a chat template can't load another template", loading.lineno)
            tree = Instrumentation().visit(tree)
            tree.set_environment(environment)
            code = environment.compile(tree, filename=_FILENAME)
            return environment.template_class.from_code(environment, code, environment.make_globals(None))
        except TemplateSyntaxError as error:
            raise TemplateError(f"{self._label}, line {error.lineno}: {_sentence(error.message)}") from error
        except (RecursionError, MemoryError, SyntaxError, ValueError, OverflowError) as error:
            raise TemplateError(
                f"{self._label}: it does not compile: {type(error).__name__}: {_sentence(error)}"
            ) from error
        finally:
            METER.reset(token)

    def _failure(self, error: Exception) -> TemplateError:
        place = f"{self._label}{_line_of(error)}"
        if isinstance(error, _Raised):
            return TemplateError(f"{place} refuses the messages: {error}")
        if isinstance(error, OutOfBounds):
            return TemplateError(
                f"{place} {error}; it was stopped.",
                hint="Templates are untrusted code and run within limits, which grow with their input.",
            )
        if isinstance(error, SecurityError):
            return TemplateError(f"{place} reaches for what no chat template needs: {_sentence(error)}")
        if isinstance(error, RecursionError):
            return TemplateError(f"{place} calls itself too deeply; it was stopped.")
        return TemplateError(f"{place} failed: {type(error).__name__}: {_sentence(error)}")

    @property
    def _label(self) -> str:
        return f"The chat template '{self.name}'"


class _Raised(Exception):
    """What a template's own `raise_exception` raises."""


def _raise_exception(message: object = "") -> None:
    raise _Raised(str(message))


def _strftime_now(format: str) -> str:
    if len(format) > _LONGEST_DATE_FORMAT:
        raise OutOfBounds(f"formats a date by more than {_LONGEST_DATE_FORMAT} characters")
    return datetime.now().strftime(format)


@cache
def _environment() -> BoundedEnvironment:
    environment = BoundedEnvironment()
    environment.globals.update(raise_exception=_raise_exception, strftime_now=_strftime_now)
    return environment


def _line_of(error: Exception) -> str:
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == _FILENAME]
    return f", line {lines[-1]}," if lines else ""


def _sentence(message: object) -> str:
    return f"{str(message).rstrip('.')}."
