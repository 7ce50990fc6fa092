"""The program as a user meets it: in a pipe, on a terminal, and inside this process where that is enough."""

from __future__ import annotations

import io
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PATIENCE = 120.0
"""Seconds to wait for what a process should print: none is meant to be needed, but importing torch may take many."""


@pytest.fixture
def environment(site: Path) -> Callable[..., dict[str, str]]:
    """The variables of a process that sees `site` and this checkout, and none of zoo's own settings but those given."""

    def make(**variables: str) -> dict[str, str]:
        ignored = ("ZOO_", "NO_COLOR", "COLUMNS", "FORCE_COLOR", "TTY_")
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(ignored)}
        path = [str(site), str(REPOSITORY), *filter(None, [inherited.get("PYTHONPATH")])]
        defaults = {"PYTHONPATH": os.pathsep.join(path), "PYTHONIOENCODING": "utf-8", "TERM": "xterm"}
        defaults["ZOO_CONFIG_HOME"] = str(site.parent / "settings")  # not the user's own
        return {**inherited, **defaults, **variables}

    return make


@pytest.fixture
def zoo_process(environment: Callable[..., dict[str, str]]) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run `python -m zoo` with these arguments, its output and errors in pipes.

    stdin: what it reads; nothing by default.
    """

    def run(*arguments: str, stdin: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "zoo", *arguments],
            env=environment(**variables),
            input=stdin,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=PATIENCE,
        )

    return run


@pytest.fixture
def zoo_here(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Finished]:
    """Run the command in this process, where torch is imported once for all tests. stdin: what it reads from a pipe."""

    def run(*arguments: str, stdin: str | bytes = "") -> Finished:
        from zoo.cli import main

        content = stdin.encode() if isinstance(stdin, str) else stdin
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content), encoding="utf-8"))
        capsys.readouterr()
        exit_code = main(list(arguments))
        return Finished(exit_code, *capsys.readouterr())

    return run


class Finished(NamedTuple):
    """What a command has left behind."""

    exit_code: int
    stdout: str
    stderr: str


class Terminal:
    """`python -m zoo` on a pseudo-terminal, and the user in front of it."""

    def __init__(self, arguments: tuple[str, ...], environment: dict[str, str], stdin: int | None = None) -> None:
        pty = pytest.importorskip("pty", reason="this system has no pseudo-terminals")
        self._master, slave = pty.openpty()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "zoo", *arguments],
            env=environment,
            stdin=slave if stdin is None else stdin,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            # Started in the background, the tests themselves may ignore the signal; a program on a terminal does not.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        os.close(slave)
        self.screen = ""

    def read_until(self, text: str) -> str:
        """Wait until the program has printed this since the last call; returns what it printed up to the end of it."""
        deadline = time.monotonic() + PATIENCE
        while text not in self.screen:
            if not self._read(deadline):
                raise AssertionError(f"{text!r} was never printed; the screen shows:\n{self.screen}")
        seen, _, self.screen = self.screen.partition(text)
        return seen + text

    def read_at_least(self, characters: int) -> str:
        """Wait until the program has printed this much since the last call."""
        deadline = time.monotonic() + PATIENCE
        while len(self.screen) < characters:
            if not self._read(deadline):
                raise AssertionError(f"The program has ended; the screen shows:\n{self.screen}")
        seen, self.screen = self.screen, ""
        return seen

    def wait_for_input(self) -> None:
        """Wait until the program does nothing but wait for input.

        A signal between the prompt and that would be seen only with the next key: so it is in Python's readline.
        """
        psutil = pytest.importorskip("psutil")
        process, deadline = psutil.Process(self._process.pid), time.monotonic() + PATIENCE
        while process.status() != psutil.STATUS_SLEEPING:
            if time.monotonic() > deadline:
                raise AssertionError(f"The program is busy; the screen shows:\n{self.screen}")

    def type(self, line: str) -> None:
        """Type a line and press Enter."""
        os.write(self._master, line.encode() + b"\r")

    def press_ctrl_c(self) -> None:
        """What the terminal does for Ctrl-C."""
        self._process.send_signal(signal.SIGINT)

    def press_ctrl_d(self) -> None:
        os.write(self._master, b"\x04")

    def exit_code(self) -> int:
        """Wait until the program has ended; what it still prints is on the screen."""
        deadline = time.monotonic() + PATIENCE
        while self._read(deadline):
            pass
        return self._process.wait(PATIENCE)

    def close(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        os.close(self._master)

    def _read(self, deadline: float) -> bool:
        """Whether the program can still print something."""
        ready, _, _ = select.select([self._master], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            raise AssertionError(f"The program has hung; the screen shows:\n{self.screen}")
        try:
            printed = os.read(self._master, 65536)
        except OSError:  # on Linux the end of a terminal is an error
            return False
        self.screen += printed.decode(errors="replace").replace("\r\n", "\n")
        return bool(printed)


@pytest.fixture
def terminal(environment: Callable[..., dict[str, str]]) -> Iterator[Callable[..., Terminal]]:
    """Run `python -m zoo` on a pseudo-terminal."""
    opened: list[Terminal] = []

    def open_terminal(*arguments: str, stdin: int | None = None, **variables: str) -> Terminal:
        opened.append(Terminal(arguments, environment(**variables), stdin))
        return opened[-1]

    yield open_terminal
    for each in opened:
        each.close()


CHAT_TEMPLATE = """\
{%- for message in messages -%}
<|im_start|>{{ message.role }}
{{ message.content }}<|im_end|>
{% endfor -%}
{%- if add_generation_prompt -%}<|im_start|>assistant
{% endif -%}"""

CONFIG = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "vocab_size": 258,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "max_position_embeddings": 1_000_000,
    "initializer_range": 1.0,
}


def write_tokenizer(directory: Path) -> None:
    """A tokenizer whose tokens are the 256 bytes, and the two of a chat."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({letter: index for index, letter in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(text, special=True) for text in ("<|im_start|>", "<|im_end|>")])
    tokenizer.save(str(directory / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False}
    (directory / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")


@pytest.fixture(scope="session")
def talker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a tiny language model with random weights: it talks nonsense, and does not stop by itself."""
    import zoo

    directory = tmp_path_factory.mktemp("talker")
    zoo.save(zoo.create(CONFIG, seed=1), directory)
    write_tokenizer(directory)
    (directory / "chat_template.jinja").write_text(CHAT_TEMPLATE, encoding="utf-8")
    return directory


@pytest.fixture(scope="session")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a tiny classifier with random weights and three labels."""
    import zoo

    directory = tmp_path_factory.mktemp("classifier")
    model = zoo.create(CONFIG, task="text-classification", labels=("bad", "fair", "good"), seed=1)
    zoo.save(model, directory)
    write_tokenizer(directory)
    return directory
