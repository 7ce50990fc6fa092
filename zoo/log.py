"""The logger "zoo". `ZOO_LOG` (debug, info, warning, error) sets its level; unset, warnings and errors reach stderr.

The standard logging package takes several milliseconds to import, and most commands log nothing that is shown. So
`logger` imports it with the first message that somebody will see, or that somebody who imported it may be listening to.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import logging

__all__ = ["LazyLogger", "logger"]

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
_DEFAULT = "warning"


class LazyLogger:
    """Passes messages, in %-style, on to the logger of the standard library with the same name."""

    def __init__(self, name: str, level: str | None = None) -> None:
        """level: debug, info, warning or error; None leaves it to the program that uses zoo, as for any library."""
        self.name = name
        self._threshold = _LEVELS[level or _DEFAULT]
        self._explicit = level is not None
        self._logger: logging.Logger | None = None

    def debug(self, message: str, *arguments: object) -> None:
        """What helps to find a fault."""
        self._log(10, message, arguments)

    def info(self, message: str, *arguments: object) -> None:
        """What a user may want to know."""
        self._log(20, message, arguments)

    def warning(self, message: str, *arguments: object) -> None:
        """What a user should know."""
        self._log(30, message, arguments)

    def error(self, message: str, *arguments: object) -> None:
        """What went wrong."""
        self._log(40, message, arguments)

    def _log(self, level: int, message: str, arguments: tuple[object, ...]) -> None:
        # As long as nobody imported logging, nobody can have attached a handler or changed a level.
        if self._logger is None and level < self._threshold and "logging" not in sys.modules:
            return
        self._real().log(level, message, *arguments, stacklevel=3)

    def _real(self) -> logging.Logger:
        if self._logger is None:
            import logging

            class StderrHandler(logging.StreamHandler):  # type: ignore[type-arg]
                """Speaks only while the program has not set up logging of its own; then that program's handlers do."""

                def emit(self, record: logging.LogRecord) -> None:
                    if not logging.getLogger().handlers:
                        self.stream = sys.stderr  # looked up anew: it may have been redirected
                        super().emit(record)

            handler = StderrHandler()
            handler.setFormatter(logging.Formatter("%(name)s: %(levelname)s: %(message)s"))
            real = logging.getLogger(self.name)
            real.addHandler(handler)
            if self._explicit:
                real.setLevel(self._threshold)
            self._logger = real
        return self._logger


def _from_environment() -> LazyLogger:
    value = os.environ.get("ZOO_LOG", "").strip().lower()
    if not value or value in _LEVELS:
        return LazyLogger("zoo", value or None)
    result = LazyLogger("zoo")
    result.warning("ZOO_LOG=%s is no log level; expected one of %s. Using %s.", value, ", ".join(_LEVELS), _DEFAULT)
    return result


logger = _from_environment()
"""The logger that all of zoo writes to."""
