"""The program around the commands: how they are found, and what becomes of errors."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ["torch", "numpy", "transformers", "rich", "tokenizers", "jinja2", "email"]

COMMAND = """
@hookimpl
def zoo_commands():
    return [CommandSpec(name="bark", command="zoo_dog.bark:command", summary="Makes a noise")]
"""


def install_command(fake_plugin, body="pass", decorators="@click.command()", name="zoo-dog"):
    plugin = fake_plugin(name, COMMAND.replace("zoo_dog", name.replace("-", "_")))
    code = f"import click, os, sys\n{decorators}\ndef command():\n    {body}\n"
    (plugin.parent / "bark.py").write_text(code, encoding="utf-8")


def test_help_shows_every_command(zoo_process, fake_plugin):
    install_command(fake_plugin)
    process = zoo_process("--help")
    assert process.returncode == 0
    for line in ("bark     Makes a noise", "list     List what the installed plugins contribute", "Examples:"):
        assert line in process.stdout


def test_help_imports_no_module_of_a_command(run_python, fake_plugin):
    install_command(fake_plugin)
    script = """
        import sys, zoo.cli
        zoo.cli.main(["--help"])
        commands = ["zoo_dog.bark", *(f"zoo.cli.{name}" for name in ("list", "info", "plugins", "env", "run", "chat"))]
        print([name for name in commands if name in sys.modules])
    """
    assert run_python(script).stdout.splitlines()[-1] == "[]"


def test_without_arguments_it_shows_its_help(zoo_process):
    process = zoo_process()
    assert "Usage: zoo [OPTIONS] COMMAND" in process.stdout + process.stderr


def test_version(zoo_process):
    import zoo

    process = zoo_process("--version")
    assert (process.returncode, process.stdout) == (0, f"zoo {zoo.__version__}\n")


@pytest.mark.parametrize("command", ["list", "info", "plugins", "env", "run", "chat"])
def test_every_command_has_help_with_examples(zoo_process, command):
    process = zoo_process(command, "--help")
    assert process.returncode == 0
    assert f"Usage: zoo {command} [OPTIONS]" in process.stdout and "Examples:" in process.stdout


def test_a_plugin_contributes_a_command(zoo_process, fake_plugin):
    install_command(fake_plugin, "click.echo('woof')")
    process = zoo_process("bark")
    assert (process.returncode, process.stdout, process.stderr) == (0, "woof\n", "")


def test_an_unknown_command_is_a_usage_error_that_suggests_one(zoo_process):
    process = zoo_process("lsit")
    assert process.returncode == 2 and process.stdout == ""
    assert "There is no command 'lsit'." in process.stderr and "Did you mean 'list'?" in process.stderr


def test_an_unknown_option_is_a_usage_error(zoo_process):
    process = zoo_process("list", "--colour")
    assert process.returncode == 2 and "--colour" in process.stderr


def test_an_error_of_zoo_is_told_without_traceback(zoo_process):
    process = zoo_process("info", "/no/such/place")
    assert process.returncode == 1 and process.stdout == ""
    assert process.stderr.startswith("zoo: error: /no/such/place: no such file or directory")
    assert "Traceback" not in process.stderr


def test_the_log_level_debug_adds_the_traceback(zoo_process):
    process = zoo_process("info", "/no/such/place", ZOO_LOG="debug")
    assert process.returncode == 1
    assert "Traceback (most recent call last)" in process.stderr
    assert "zoo: error: /no/such/place" in process.stderr


def test_a_hint_stands_below_the_error(zoo_process):
    process = zoo_process("info", "lama")
    assert process.returncode == 1
    assert process.stderr.splitlines()[0].startswith("zoo: error: There is nothing called 'lama'")
    assert "Did you mean 'llama'?" in process.stderr.splitlines()[1]


def test_an_unexpected_exception_is_called_a_bug_with_all_that_a_report_needs(zoo_process, fake_plugin):
    install_command(fake_plugin, "raise IndexError('no such toe')")
    process = zoo_process("bark")
    assert process.returncode == 1
    assert "Traceback" in process.stderr and "IndexError: no such toe" in process.stderr
    assert "This is a bug" in process.stderr and "`zoo env`" in process.stderr


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("open('/no/such/file')", "No such file or directory: '/no/such/file'"),
        ("raise MemoryError", "out of memory"),
    ],
)
def test_what_the_system_refuses_is_an_error_and_no_bug(zoo_process, fake_plugin, body, message):
    install_command(fake_plugin, body)
    process = zoo_process("bark")
    assert process.returncode == 1
    assert process.stderr.startswith("zoo: error: ") and message in process.stderr
    assert "bug" not in process.stderr and "Traceback" not in process.stderr


def test_an_interrupt_has_the_exit_code_of_one(zoo_process, fake_plugin):
    install_command(fake_plugin, "raise KeyboardInterrupt")
    process = zoo_process("bark")
    assert process.returncode == 130 and "Traceback" not in process.stderr


def test_a_command_can_choose_its_exit_code(zoo_process, fake_plugin):
    install_command(fake_plugin, "click.get_current_context().exit(7)")
    assert zoo_process("bark").returncode == 7


def test_a_reader_that_goes_away_is_no_error_to_talk_about(environment):
    process = subprocess.Popen(
        [sys.executable, "-m", "zoo", "list"],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    process.stdout.close()
    with process.stderr:
        assert process.stderr.read() == b""
    assert process.wait() == 1


def test_a_command_that_can_not_be_imported_breaks_nothing_else(zoo_process, fake_plugin):
    fake_plugin("zoo-dog", COMMAND)  # there is no module zoo_dog.bark
    process = zoo_process("bark")
    assert process.returncode == 1 and "zoo_dog.bark:command" in process.stderr
    assert "This is a bug" not in process.stderr
    assert "bark" in zoo_process("--help").stdout
    assert zoo_process("list", "commands").returncode == 0


def test_a_command_that_is_none_is_the_plugins_mistake(zoo_process, fake_plugin):
    install_command(fake_plugin, decorators="")
    process = zoo_process("bark")
    assert process.returncode == 1
    assert "'zoo-dog:bark'" in process.stderr and "is a function" in process.stderr


def test_a_command_that_two_plugins_claim_is_reached_by_its_full_name(zoo_process, fake_plugin):
    install_command(fake_plugin, "click.echo('woof')")
    install_command(fake_plugin, "click.echo('arf')", name="zoo-seal")
    assert "zoo-dog:bark" in zoo_process("--help").stdout
    process = zoo_process("bark")
    assert process.returncode == 1 and "'zoo-seal:bark'" in process.stderr
    assert zoo_process("zoo-seal:bark").stdout == "arf\n"
    assert zoo_process("bark", ZOO_PREFER="bark=zoo-dog").stdout == "woof\n"


def test_a_plugin_that_fails_stops_no_command(zoo_process, fake_plugin):
    fake_plugin("zoo-bad", "raise SystemExit('over')")
    for arguments in (["--help"], ["list"], ["info", "text-generation"], ["plugins"]):
        process = zoo_process(*arguments)
        assert process.returncode == 0 and process.stdout, arguments


def test_in_strict_mode_it_is_an_error(zoo_process, fake_plugin):
    fake_plugin("zoo-bad", "raise SystemExit('over')")
    process = zoo_process("list", ZOO_STRICT="1")
    assert process.returncode == 1
    assert process.stderr.startswith("zoo: error: The plugin zoo-bad:bad 1.0 failed")


def test_an_error_can_not_act_on_the_terminal(zoo_process):
    process = zoo_process("info", "./\x1b[2J\x9bnone")
    assert process.returncode == 1
    assert "\\x1b[2J\\x9bnone" in process.stderr and "\x1b" not in process.stderr


@pytest.mark.parametrize(
    "arguments", [["list"], ["list", "tasks"], ["info", "llama"], ["info", "text-generation"], ["plugins"]]
)
def test_what_only_lists_imports_nothing_heavy(run_python, arguments):
    script = f"""
        import sys
        from zoo.cli import main
        assert main({arguments}) == 0
        print([name for name in {HEAVY} if name in sys.modules])
    """
    process = run_python(script)
    assert process.stdout.splitlines()[-1] == "[]", process.stderr


def test_an_encoding_that_lacks_a_character_is_no_reason_to_fail(zoo_process, fake_plugin):
    install_command(fake_plugin, "click.echo('汪汪')")
    process = zoo_process("bark", PYTHONIOENCODING="latin-1")
    assert (process.returncode, process.stdout) == (0, "\\u6c6a\\u6c6a\n")


def test_the_shell_completes_commands_and_imports_none(environment, fake_plugin):
    fake_plugin("zoo-dog", COMMAND)  # there is no module zoo_dog.bark
    process = subprocess.run(
        [sys.executable, "-c", "import sys; from zoo.cli import main; sys.exit(main())"],
        env=environment(_ZOO_COMPLETE="bash_complete", COMP_WORDS="zoo ba", COMP_CWORD="1"),
        capture_output=True,
        text=True,
    )
    assert process.stdout == "plain,bark\n", process.stderr
