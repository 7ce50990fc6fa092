"""`zoo chat`."""

from __future__ import annotations

import json

import pytest

import zoo
from zoo.cli.conversation import Conversation
from zoo.cli.text import without_controls


@pytest.fixture
def chat(zoo_here, talker):
    """Chat with the tiny model in a pipe."""

    def run(stdin, *arguments, length=6):
        return zoo_here("chat", str(talker), f"--max-new-tokens={length}", *arguments, stdin=stdin)

    return run


@pytest.fixture
def talk(terminal, talker):
    """Chat with the tiny model on a terminal."""

    def run(*arguments):
        screen = terminal("chat", str(talker), *arguments, NO_COLOR="1")
        screen.read_until("> ")
        return screen

    return run


def replies(finished):
    assert finished.exit_code == 0, finished.stderr
    return [json.loads(line) for line in finished.stdout.splitlines()]


def test_a_conversation_grows_by_turns():
    conversation = Conversation("Be brief.")
    assert conversation.asking("Hi") == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
    ]
    conversation.add("Hi", "Hello.")
    conversation.add("Are you there?", "")  # no answer: as if it had not been asked
    conversation.system = None
    assert conversation.asking("Bye") == [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello."},
        {"role": "user", "content": "Bye"},
    ]
    conversation.reset()
    assert conversation.asking("Hi") == [{"role": "user", "content": "Hi"}]


def test_in_a_pipe_each_line_gets_a_reply_and_nothing_else_is_printed(chat, talker):
    pipe = zoo.pipeline("text-generation", talker)
    expected = pipe([{"role": "user", "content": "Hello"}], max_new_tokens=6).text
    finished = chat("Hello\n")
    assert (finished.exit_code, finished.stdout, finished.stderr) == (0, without_controls(expected) + "\n", "") or (
        finished.stderr.startswith("(cut off after 6 tokens")
    )


def test_the_model_sees_what_was_said_before(chat, talker):
    pipe = zoo.pipeline("text-generation", talker)
    first, second = replies(chat("Hello\nAgain\n", "--json"))
    messages = [
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": first["content"]},
        {"role": "user", "content": "Again"},
    ]
    expected = pipe(messages, max_new_tokens=6)
    assert (second["content"], second["prompt_tokens"]) == (expected.text, expected.prompt_tokens)
    assert first.keys() == {"role", "content", "finish_reason", "prompt_tokens", "new_tokens"}
    assert (first["role"], first["finish_reason"], first["new_tokens"]) == ("assistant", "length", 6)


def test_reset_forgets(chat):
    first, second = replies(chat("Hello\n/reset\nHello\n", "--json"))
    assert first == second


def test_the_system_message_comes_first_and_can_be_changed(chat):
    plain, *_ = replies(chat("Hello\n", "--json"))
    given, *_ = replies(chat("Hello\n", "--json", "--system", "Be brief."))
    typed, *_ = replies(chat("/system Be brief.\nHello\n", "--json"))
    removed, *_ = replies(chat("/system\nHello\n", "--json", "--system", "Be brief."))
    assert given == typed and given["prompt_tokens"] > plain["prompt_tokens"]
    assert removed == plain


def test_exit_ends_it(chat):
    assert len(replies(chat("Hello\n/exit\nHello\n", "--json"))) == 1


def test_two_slashes_stand_for_one_and_empty_lines_for_nothing(chat):
    one, two = replies(chat("\n/ten\n//ten\n  \n/reset\n/help\nxten\n", "--json"))
    assert one["prompt_tokens"] == two["prompt_tokens"]


def test_an_unknown_command_is_not_said_to_the_model(chat):
    finished = chat("/foo bar\n", "--json")
    assert (finished.exit_code, finished.stdout) == (0, "")
    assert "There is no command /foo" in finished.stderr


def test_help_lists_the_commands(chat):
    finished = chat("/help\n")
    assert finished.stdout == "" and all(name in finished.stderr for name in ("/exit", "/reset", "/system", "/help"))


def test_an_error_in_a_pipe_ends_it(chat):
    finished = chat("Hello\nHello\n", "--json", "--set", "context_length=40")
    assert finished.exit_code == 1
    assert len(finished.stdout.splitlines()) == 1 and finished.stderr.startswith("zoo: error: ")


def test_input_that_is_not_utf_8_is_an_error(chat):
    finished = chat(b"Gr\xfc\xdfe\n")
    assert finished.exit_code == 1 and "not UTF-8" in finished.stderr


def test_settings_reach_generation(chat):
    same, again = (replies(chat("Hello\n", "--json", "--temperature=2", "--seed=1"))[0] for _ in range(2))
    other, *_ = replies(chat("Hello\n", "--json", "--temperature=2", "--seed=2"))
    assert same == again != other


def test_a_model_without_a_chat_template_is_refused_with_the_way_out(zoo_here, classifier, talker, tmp_path):
    for file in talker.iterdir():
        if file.name != "chat_template.jinja":
            (tmp_path / file.name).write_bytes(file.read_bytes())
    finished = zoo_here("chat", str(tmp_path), stdin="Hello\n")
    assert finished.exit_code == 1
    assert "has no chat template" in finished.stderr and "zoo run text-generation" in finished.stderr


def test_ctrl_c_ends_the_reply_and_not_the_program(talk):
    screen = talk("--max-new-tokens=900000")
    screen.type("Hello")
    screen.read_until("Hello\n")
    screen.read_at_least(50)  # the reply has begun
    screen.press_ctrl_c()
    assert "(interrupted)" in screen.read_until("> ")
    screen.type("/exit")
    assert screen.exit_code() == 0
    assert "Traceback" not in screen.screen


def test_ctrl_c_at_the_prompt_ends_the_program_when_pressed_twice(talk):
    screen = talk()
    screen.wait_for_input()
    screen.press_ctrl_c()
    assert "once more" in screen.read_until("> ")
    screen.wait_for_input()
    screen.press_ctrl_c()
    assert screen.exit_code() == 0


def test_on_a_terminal_it_talks_until_ctrl_d_whatever_errors_there_are(talk):
    screen = talk("--set", "context_length=40", "--max-new-tokens=3")
    screen.type("Hello " * 20)
    assert "zoo: error: " in screen.read_until("\n> ")
    screen.type("a")
    assert "cut off after 3 tokens" in screen.read_until("> ")
    screen.press_ctrl_d()
    assert screen.exit_code() == 0


def test_a_setting_that_does_not_exist_is_called_wrongly(chat):
    finished = chat("Hello\n", "--set", "temprature=1")
    assert finished.exit_code == 2 and "'temperature'" in finished.stderr and finished.stdout == ""
