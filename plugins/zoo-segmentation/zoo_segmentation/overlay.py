"""Pictures of label maps: colours over the image, and a legend that says which is which."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from zoo.errors import InvalidInput
from zoo.interfaces.shown import shown
from zoo_segmentation.palette import Colours

__all__ = ["LegendEntry", "coloured", "share_text", "with_legend"]

LegendEntry = tuple[tuple[int, int, int], str, float]
"""A colour, the label that it stands for, and its share of the pixels."""

_BAND_PIXELS = 2**18
_LONGEST = 32  # characters of a label
_AT_LEAST = 8  # classes have room, however small the image is


def share_text(share: float) -> str:
    """A part of the pixels for people: "26.0%", and "<0.1%" for what there is hardly any of."""
    return "<0.1%" if 0 < share < 0.0005 else f"{share:.1%}"


def coloured(image: Image.Image, label_map: NDArray[Any], colours: Colours, alpha: float) -> Image.Image:
    """The image, an RGB one, with the colours of its pixels' classes over it; what is of no class stays as it is.

    alpha: from 0, the image alone, to 1, colours alone. Done in place, band by band, so that it takes no more memory.
    """
    given: object = alpha  # what a caller without a type checker may pass
    if isinstance(given, bool) or not isinstance(given, (int, float)) or not 0 <= alpha <= 1:
        raise InvalidInput(f"alpha: a number from 0 to 1 was expected, found {shown(alpha)}.")
    height, width = label_map.shape
    tints = np.vstack([colours, np.zeros((1, 3))]).astype(np.float32) * np.float32(alpha)
    kept = np.append(np.full(len(colours), 1 - alpha), 1).astype(np.float32)[:, None]
    rows = max(1, _BAND_PIXELS // width)
    for first in range(0, height, rows):
        labels = np.minimum(label_map[first : first + rows], len(colours))  # void is above all classes
        box = (0, first, width, first + labels.shape[0])
        blended = np.asarray(image.crop(box)) * kept[labels] + tints[labels]
        image.paste(Image.fromarray(np.round(blended).astype(np.uint8)), box)
    return image


def with_legend(image: Image.Image, entries: Sequence[LegendEntry]) -> Image.Image:
    """The image and, to the right of it, so that nothing is hidden, a legend; of what has no room the
    number. Letters that Pillow's own font lacks are drawn as boxes.
    """
    if not entries:
        return image
    size = min(max(image.height // 40, 12), 48)
    font, line, margin = ImageFont.load_default(size), round(1.5 * size), size // 2
    height = max(image.height, min(len(entries), _AT_LEAST) * line + 2 * margin)
    room = (height - 2 * margin) // line
    shown_entries = list(entries) if len(entries) <= room else list(entries[: room - 1])
    texts = [f"{_printable(label)} {share_text(share)}" for _, label, share in shown_entries]
    more = len(entries) - len(shown_entries)
    if more:
        texts.append(f"{more} more")
    width = 3 * margin + size + max(round(font.getlength(text)) for text in texts)
    picture = Image.new("RGB", (image.width + width, height), "white")
    picture.paste(image, (0, 0))
    draw = ImageDraw.Draw(picture)
    for number, text in enumerate(texts):
        left, top = image.width + margin, margin + number * line
        if number < len(shown_entries):
            draw.rectangle((left, top, left + size, top + size), fill=shown_entries[number][0])
        draw.text((left + size + margin, top + size / 2), text, fill="black", font=font, anchor="lm")
    return picture


def _printable(text: str) -> str:
    """On one line, and not longer than a picture is wide."""
    clean = "".join(character if character.isprintable() else " " for character in text)
    return clean if len(clean) <= _LONGEST else f"{clean[: _LONGEST - 3]}..."
