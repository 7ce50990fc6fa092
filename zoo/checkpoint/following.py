"""Reading a file while it is written, on a thread of its own, never further than it has been written."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeAlias

from zoo.checkpoint.parallel import Stopped

__all__ = ["Follower", "Ready"]

Ready: TypeAlias = Callable[[int], None]
"""Returns when the file is written up to a position; raises Stopped when it will never be."""


class Follower:
    """Runs `read` beside the thread that writes. That one calls `advance`, and at the end `finish` or `stop`."""

    def __init__(self, read: Callable[[Ready], None]) -> None:
        self._changed = threading.Condition()
        self._written = 0
        self._stopped = False
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(read,), name="zoo-follower")
        self._thread.start()

    def advance(self, written: int) -> None:
        """So many bytes are in the file."""
        with self._changed:
            self._written = written
            self._changed.notify_all()

    def finish(self) -> None:
        """All is written: wait for the reading to end, and raise its error if it had one."""
        self._thread.join()
        if self._failure is not None:
            raise self._failure

    def stop(self) -> BaseException | None:
        """No more will be written: end the reading. Returns the error that it had met."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        self._thread.join()
        return self._failure

    def _ready(self, position: int) -> None:
        if self._written >= position:
            return
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or self._written >= position)
            if self._written < position:
                raise Stopped

    def _run(self, read: Callable[[Ready], None]) -> None:
        try:
            read(self._ready)
        except Stopped:
            pass
        except BaseException as error:
            self._failure = error
