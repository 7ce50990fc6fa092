"""A progress bar on the terminal for what takes longer than a second; in a pipe, or with ZOO_PROGRESS=0, nothing."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from zoo.cli.output import is_terminal
from zoo.cli.text import escaped

if TYPE_CHECKING:
    from rich.progress import Progress

__all__ = ["progress_bar"]

PATIENCE = 1.0
"""Seconds before a bar appears."""


@contextmanager
def progress_bar(description: str, *, in_bytes: bool = False) -> Iterator[Callable[[int, int], None]]:
    """Gives a function to be called with the amount done and the amount in all; until then the bar only pulses.

    in_bytes: the amounts are bytes; how many there are per second and the time that is left are shown, too.
    """
    if not is_terminal(sys.stderr) or os.environ.get("ZOO_PROGRESS") == "0":
        yield lambda done, total: None
        return
    bar = _DelayedBar(description, in_bytes=in_bytes)
    try:
        yield bar.update
    finally:
        bar.close()


class _DelayedBar:
    """A bar that a timer brings up, since what it stands for may not return to Python for long (importing torch)."""

    def __init__(self, description: str, *, in_bytes: bool) -> None:
        self._description = description
        self._in_bytes = in_bytes
        self._lock = threading.Lock()
        self._done: int = 0
        self._total: int | None = None
        self._progress: Progress | None = None
        self._closed = False
        self._timer = threading.Timer(PATIENCE, self._show)
        self._timer.daemon = True
        self._timer.start()

    def update(self, done: int, total: int) -> None:
        with self._lock:
            self._done, self._total = done, total
            if self._progress is not None:
                self._progress.update(self._progress.task_ids[0], completed=done, total=total)

    def close(self) -> None:
        self._timer.cancel()
        with self._lock:
            self._closed = True
            if self._progress is not None:
                self._progress.stop()

    def _show(self) -> None:
        from rich import progress
        from rich.console import Console

        columns = [
            progress.SpinnerColumn(),
            progress.TextColumn("{task.description}", markup=False),
            progress.BarColumn(),
            progress.TaskProgressColumn(),
        ]
        if self._in_bytes:
            columns += [progress.DownloadColumn(), progress.TransferSpeedColumn(), progress.TimeRemainingColumn()]
        else:
            columns.append(progress.TimeElapsedColumn())
        with self._lock:
            if self._closed:
                return
            self._progress = progress.Progress(*columns, console=Console(stderr=True), transient=True)
            self._progress.add_task(escaped(self._description), completed=self._done, total=self._total)
            self._progress.start()
