"""`zoo chat`: talk with a language model."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import click

import zoo
from zoo.cli.conversation import Conversation
from zoo.cli.output import has_colours, is_terminal, json_text
from zoo.cli.progress import progress_bar
from zoo.cli.settings import check_settings, generation_options, given, loading_options
from zoo.cli.text import escaped_lines, without_controls
from zoo.errors import InvalidInput, TemplateError, ZooError

__all__ = ["command"]

_HELP = """\
/help          this list
/system TEXT   tell the model what it is, from now on; without TEXT, nothing
/reset         forget the conversation
/exit          leave, as does Ctrl-D
A line that ends with \\ goes on in the next one; // at the start stands for one /.
Ctrl-C ends a reply that is too long."""


class _Leave(Exception):
    """The user wants to go."""


@click.command(
    epilog="""\b
Examples:
  zoo chat llama
  zoo chat llama --system "You answer in one word." --temperature 0.7
  echo "What is the capital of France?" | zoo chat llama
  zoo chat path/to/model --json < questions.txt

While you talk: /help, /system TEXT, /reset, /exit. Ctrl-C ends the reply, Ctrl-D the program.

In a pipe each line of standard input is one message of the same conversation, and each reply is printed. With --json
a reply is one object on a line: "role", "content", "finish_reason", "prompt_tokens", "new_tokens".""",
)
@click.argument("reference", metavar="REF")
@click.option("--system", metavar="TEXT", help="A system message: what the model is, and how it should answer.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per reply, for programs.")
@generation_options
@loading_options
def command(
    reference: str,
    system: str | None,
    as_json: bool,
    dtype: str | None,
    device: str | None,
    attention: str | None,
    **settings: Any,
) -> None:
    """Talk with the model REF.

    REF is the name of an architecture or preset, a directory, a file, or pkg://DISTRIBUTION/path.
    """
    with progress_bar(f"Loading {reference}") as progress:
        load_options = given(dtype=dtype, device=device, attention=attention, progress=progress)
        pipeline = zoo.pipeline("text-generation", reference, **load_options)
    if getattr(pipeline.preprocessor, "chat_templates", None) == {}:
        raise TemplateError(
            f"{reference} has no chat template, so nothing is known of how it is talked with.",
            hint=f"Let it continue a text: zoo run text-generation {reference} TEXT",
        )
    chosen = given(**settings)
    check_settings("text-generation", pipeline, chosen)
    chat = _Chat(pipeline, Conversation(system), chosen, as_json)
    if as_json or not (is_terminal(sys.stdin) and is_terminal(sys.stdout)):
        chat.follow(sys.stdin)
    else:
        click.echo(
            f"Talking with {escaped_lines(reference)}. /help tells what else you can type; Ctrl-D leaves.\n", err=True
        )
        chat.talk()


class _Chat:
    """A conversation between a model and whoever is at the other end of stdin."""

    def __init__(self, pipeline: Any, conversation: Conversation, settings: dict[str, Any], as_json: bool) -> None:
        self._pipeline = pipeline
        self._conversation = conversation
        self._settings = settings
        self._as_json = as_json
        self._interactive = False

    def follow(self, lines: Iterator[str]) -> None:
        """Answer every line. An error ends it: what follows may build on the reply that is missing."""
        try:
            for line in lines:
                message = self._obey(line.rstrip("\r\n"))
                if message:
                    self._answer(message)
        except _Leave:
            return
        except UnicodeDecodeError as error:
            raise InvalidInput(f"Standard input is not UTF-8: {error.reason}.") from error

    def talk(self) -> None:
        """Answer a person, who can interrupt a reply, and mend what was an error."""
        self._interactive = True
        try:
            while True:
                try:
                    message = self._obey(_prompt())
                    if message:
                        self._answer(message)
                        click.echo()
                except ZooError as error:
                    click.echo(f"zoo: error: {escaped_lines(str(error))}\n", err=True)
                except KeyboardInterrupt:  # before there was anything of a reply
                    _notice("\n(interrupted)\n")
        except (_Leave, EOFError):
            return

    def _obey(self, line: str) -> str:
        """Carry out a command; "" when it was one, else the message."""
        if not line.startswith("/"):
            return line.strip()
        if line.startswith("//"):
            return line[1:].strip()
        name, _, argument = line.strip().partition(" ")
        match name:
            case "/exit" | "/quit":
                raise _Leave
            case "/reset":
                self._conversation.reset()
                _notice("The conversation starts anew.")
            case "/system":
                self._conversation.system = argument.strip() or None
                _notice("The model is told so from now on." if argument.strip() else "There is no system message now.")
            case "/help":
                _notice(_HELP)
            case _:
                _notice(f"There is no command {escaped_lines(name)}; /help lists them.")
        return ""

    def _answer(self, message: str) -> None:
        stream = self._pipeline.stream(self._conversation.asking(message), **self._settings)
        interrupted = False
        try:
            for piece in stream:
                if not self._as_json:
                    click.echo(without_controls(piece), nl=False)
        except KeyboardInterrupt:
            if not self._interactive:
                raise
            interrupted = True
            stream.close()
        generation = stream.generation
        self._conversation.add(message, generation.text)
        if self._as_json:
            click.echo(json_text(_reply(generation)))
            return
        click.echo()
        if interrupted:
            _notice("(interrupted)")
        elif generation.finish_reason == "length":
            _notice(f"(cut off after {len(generation.token_ids)} tokens; --max-new-tokens allows more)")


def _reply(generation: Any) -> dict[str, Any]:
    return {
        "role": "assistant",
        "content": generation.text,
        "finish_reason": generation.finish_reason,
        "prompt_tokens": generation.prompt_tokens,
        "new_tokens": len(generation.token_ids),
    }


def _notice(text: str) -> None:
    """What the program itself says, apart from the model."""
    click.echo(click.style(text, dim=True) if has_colours(sys.stderr) else text, err=True)


def _prompt() -> str:
    """What the user types. Raises EOFError for Ctrl-D, and for Ctrl-C when it is the second in a row."""
    _edit_lines()
    interrupted = False
    while True:
        try:
            line = input("> ")
            while line.endswith("\\"):
                line = f"{line[:-1]}\n{input('. ')}"
            return line
        except KeyboardInterrupt:
            click.echo(err=True)
            if interrupted:
                raise EOFError from None
            interrupted = True
            _notice("(Ctrl-C once more, or Ctrl-D, leaves)")


def _edit_lines() -> None:
    """Give `input` arrow keys and a history, where the system has them."""
    try:
        import readline  # noqa: F401  (importing it is all that is needed)
    except ImportError:  # Windows, and some builds of Python
        return
