from __future__ import annotations

import threading
from functools import partial

import pytest

from zoo.checkpoint.parallel import Progress, Stopped, run_all


@pytest.mark.parametrize("jobs", [1, 2, 5])
def test_all_tasks_are_done_once(jobs: int) -> None:
    done: list[int] = []
    run_all([partial(done.append, number) for number in range(50)], jobs, Progress())
    assert sorted(done) == list(range(50))


def test_progress_is_told_by_one_thread_at_a_time() -> None:
    total = 0
    inside = threading.Lock()

    def tell(count: int) -> None:
        nonlocal total
        assert inside.acquire(blocking=False)
        total += count
        inside.release()

    progress = Progress(tell)
    run_all([partial(progress, 3) for _ in range(500)], 4, progress)
    assert total == 1500


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_the_first_error_ends_the_others(error: type[BaseException]) -> None:
    """A shard that fails must not wait for hours of other shards."""
    progress = Progress()
    failed = threading.Event()

    def fail() -> None:
        failed.set()
        raise error("boom")

    def long() -> None:
        failed.wait()
        while True:
            progress(1)

    with pytest.raises(error, match="boom"):
        run_all([long, fail], 2, progress)


def test_an_interrupt_of_the_waiting_thread_ends_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    progress = Progress()
    ended: list[BaseException] = []
    join = threading.Thread.join
    interrupted = False

    def interrupt(thread: threading.Thread) -> None:
        nonlocal interrupted
        if not interrupted:
            interrupted = True
            raise KeyboardInterrupt
        join(thread)

    def long() -> None:
        try:
            while True:
                progress(1)
        except Stopped as error:
            ended.append(error)
            raise

    monkeypatch.setattr(threading.Thread, "join", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run_all([long, long], 2, progress)
    assert len(ended) == 2
