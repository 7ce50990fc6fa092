"""Text as it is generated."""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import Self

from zoo.errors import ZooError
from zoo.generation.output import Generation
from zoo.generation.run import Run

__all__ = ["TextStream"]


class TextStream(Iterator[str]):
    """The pieces of one generated text, each as soon as it is certain: no half characters, no part of a stop string.

    `generation` is the whole of it once the stream has ended. To end it early, `close` it, or use it as a context
    manager; that frees the cache, and `generation` is what there was until then, with the finish reason "cancelled".
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        (self._transcript,) = run.transcripts

    def __next__(self) -> str:
        while True:
            piece = self._transcript.take()
            if piece:
                return piece
            if not self._transcript.is_open:
                self.close()
                raise StopIteration
            self._step()

    def close(self) -> None:
        """Generate no more. What is certain of the text can still be read."""
        self._transcript.cancel()
        self._run.steps.close()

    @property
    def generation(self) -> Generation:
        """The whole of it. Raises ZooError while the stream has not ended."""
        if self._transcript.is_open:
            raise ZooError("The stream has not ended.", hint="Read it to its end, or close it.")
        return self._run.generations()[0]

    def _step(self) -> None:
        try:
            next(self._run.steps)
        except BaseException:  # an interrupt, too, leaves a decoder that can't go on
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
