"""Where an image's pixels went on their way into a model, so that what comes out can be laid over it. Torch-free."""

from __future__ import annotations

from dataclasses import dataclass, replace

__all__ = ["MAX_PIXELS", "Geometry", "Size", "Span"]

Size = tuple[int, int]
"""Height and width."""

MAX_PIXELS = 2**27
"""Of an image, before each step and after it: 400 MB in RGB, and more than 10,000 x 10,000."""


@dataclass(frozen=True, kw_only=True)
class Span:
    """One axis: `original` pixels were resized to `resized`, of which those from `offset` became the model's input.

    length: of the model's input. first, last: the part of the input that shows the image, last excluded; the rest is
    padding.
    """

    original: int
    resized: int
    offset: int
    length: int
    first: int
    last: int

    @classmethod
    def of(cls, original: int, resized: int) -> Span:
        """Resized, and no more."""
        return cls(original=original, resized=resized, offset=0, length=resized, first=0, last=resized)

    def cropped(self, length: int) -> Span:
        """The middle `length` pixels, with padding around where there are not so many."""
        offset = (self.length - length) // 2
        return replace(
            self,
            offset=self.offset + offset,
            length=length,
            first=max(self.first - offset, 0),
            last=min(self.last - offset, length),
        )

    def padded(self, before: int, after: int) -> Span:
        """With so many more pixels at either end."""
        return replace(
            self,
            offset=self.offset - before,
            length=before + self.length + after,
            first=self.first + before,
            last=self.last + before,
        )

    @property
    def is_whole(self) -> bool:
        """Whether the input is all of the image and nothing else."""
        return (self.offset, self.length) == (0, self.resized)


@dataclass(frozen=True, kw_only=True)
class Geometry:
    """Both axes."""

    rows: Span
    columns: Span

    @property
    def original(self) -> Size:
        """The size of the image as a person sees it, after the rotation that its camera noted."""
        return self.rows.original, self.columns.original

    @property
    def input(self) -> Size:
        """The size of what the model gets."""
        return self.rows.length, self.columns.length

    @property
    def is_whole(self) -> bool:
        """Whether nothing was cut away or added."""
        return self.rows.is_whole and self.columns.is_whole
