"""Work spread over threads that ends as one thing: the first error stops all of it, and so does an interrupt."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator

__all__ = ["Progress", "Stopped", "default_jobs", "run_all"]


def default_jobs() -> int:
    """How many threads to copy with when nobody says: more than a few only wait for each other and the disk."""
    return min(4, os.cpu_count() or 1)


class Progress:
    """Told of bytes by several threads, which learn here that they are to stop."""

    def __init__(self, tell: Callable[[int], None] | None = None) -> None:
        """tell: called with the bytes done since it was called before, by one thread at a time."""
        self._tell = tell
        self._lock = threading.Lock()
        self._stopped = False

    def __call__(self, count: int) -> None:
        """Bytes are done. Raises Stopped when the work is to end."""
        if self._stopped:
            raise Stopped
        if self._tell is not None:
            with self._lock:
                self._tell(count)

    def stop(self) -> None:
        """Have all threads end at their next step."""
        self._stopped = True


class Stopped(Exception):
    """Raised in threads whose work is not wanted any more. It never gets out of `run_all`."""


def run_all(tasks: Iterable[Callable[[], None]], jobs: int, progress: Progress) -> None:
    """Run tasks, taken in their order, on up to `jobs` threads; one job runs them right here.

    Raises the first error of any after all threads have ended. An interrupt of this thread ends the others, too.
    """
    if jobs <= 1:
        for task in tasks:
            task()
        return
    errors: list[BaseException] = []
    queue = _shared(iter(tasks))

    def work() -> None:
        try:
            for task in queue:
                task()
        except Stopped:
            pass
        except BaseException as error:
            errors.append(error)
            progress.stop()

    threads = [threading.Thread(target=work, name=f"zoo-{number}") for number in range(jobs)]
    started = []
    try:
        for thread in threads:
            thread.start()
            started.append(thread)
        for thread in started:
            thread.join()
    except BaseException:
        progress.stop()
        for thread in started:
            thread.join()
        raise
    if errors:
        raise errors[0]


def _shared(tasks: Iterator[Callable[[], None]]) -> Iterator[Callable[[], None]]:
    """An iterator that several threads may draw from."""
    lock = threading.Lock()

    def draw() -> Callable[[], None] | None:
        with lock:
            return next(tasks, None)

    return iter(draw, None)
