from __future__ import annotations

import logging
import sys

import pytest

from zoo.log import LazyLogger, logger

ALL = """
from zoo.log import logger
for name in ("debug", "info", "warning", "error"):
    getattr(logger, name)("%s!", name)
"""


@pytest.mark.parametrize(
    ("level", "shown"),
    [("", 2), ("debug", 4), ("INFO", 3), ("warning", 2), (" error ", 1)],
)
def test_zoo_log_sets_the_level(run_python, level, shown):
    expected = ["zoo: DEBUG: debug!", "zoo: INFO: info!", "zoo: WARNING: warning!", "zoo: ERROR: error!"]
    assert run_python(ALL, ZOO_LOG=level).stderr.splitlines() == expected[-shown:]


def test_an_odd_level_is_told_once_and_means_warning(run_python):
    lines = run_python(ALL, ZOO_LOG="loud").stderr.splitlines()
    assert (
        lines[0]
        == "zoo: WARNING: ZOO_LOG=loud is no log level; expected one of debug, info, warning, error. Using warning."
    )
    assert len(lines) == 3


def test_what_nobody_would_see_does_not_import_logging(run_python):
    script = "import sys; from zoo.log import logger; logger.info('x'); print('logging' in sys.modules)"
    assert run_python(script).stdout == "False\n"
    assert run_python(script, ZOO_LOG="info").stdout == "True\n"


def test_a_program_with_its_own_logging_gets_the_messages_once_and_sets_the_level(run_python):
    script = "import logging, sys; logging.basicConfig(level='INFO', format='own %(message)s', stream=sys.stdout)" + ALL
    process = run_python(script)
    assert process.stdout.splitlines() == ["own info!", "own warning!", "own error!"]
    assert process.stderr == ""


def test_messages_name_the_line_that_logged_them(caplog):
    logger.warning("%d plugins", 3)
    (record,) = caplog.records
    assert (record.name, record.getMessage(), record.funcName) == ("zoo", "3 plugins", sys._getframe().f_code.co_name)


def test_a_redirected_stderr_is_honoured(capsys, monkeypatch):
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    LazyLogger("redirected").warning("hello")
    assert capsys.readouterr().err == "redirected: WARNING: hello\n"
