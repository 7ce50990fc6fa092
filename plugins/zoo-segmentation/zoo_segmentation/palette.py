"""Colours of classes: as many as there are, each unlike its neighbours, the same for a class in every picture."""

from __future__ import annotations

import colorsys
from collections.abc import Mapping, Sequence
from numbers import Real

import numpy as np
from numpy.typing import NDArray
from PIL import ImageColor

from zoo.errors import InvalidInput
from zoo.interfaces.shown import shown

__all__ = ["Colour", "Colours", "Palette", "class_colours"]

Colour = str | tuple[int, int, int]
"""A name or number of CSS ("teal", "#008080"), or red, green and blue from 0 to 255."""

Palette = Sequence[Colour] | Mapping[str, Colour] | Mapping[int, Colour]
"""The colours of all classes in the order of their ids, or those of some by their labels or ids."""

Colours = NDArray[np.uint8]
"""(classes, 3)."""

_GOLDEN = 0.6180339887498949
"""The golden ratio: hues that are this part of a turn apart are never near the last few."""

_SHADES = ((0.85, 0.95), (0.65, 0.75), (0.45, 1.0))
"""Saturation and value, by turns, since hues alone are too few."""


def class_colours(palette: Palette | None, labels: Sequence[str]) -> Colours:
    """The colour of each class. Raises InvalidInput for a palette that has too few colours, what is no colour, and
    classes that there are not.
    """
    if palette is None:
        return _by_default(len(labels))
    if isinstance(palette, Mapping):
        return _with_some(palette, labels)
    if isinstance(palette, str) or not isinstance(palette, Sequence):
        raise InvalidInput(f"palette: colours in a list or by their labels were expected, found {shown(palette)}.")
    if len(palette) < len(labels):
        raise InvalidInput(
            f"palette: {len(labels)} colours were expected, one for each class, found {len(palette)}.",
            hint="A dict, by labels or ids, may name the colours of some.",
        )
    return np.array([_rgb(colour) for colour in palette[: len(labels)]], dtype=np.uint8)


def _by_default(count: int) -> Colours:
    colours = [colorsys.hsv_to_rgb(index * _GOLDEN % 1, *_SHADES[index % len(_SHADES)]) for index in range(count)]
    return np.round(np.array(colours).reshape(count, 3) * 255).astype(np.uint8)


def _with_some(palette: Mapping[str, Colour] | Mapping[int, Colour], labels: Sequence[str]) -> Colours:
    colours = _by_default(len(labels))
    for name, colour in palette.items():
        ids = [index for index, label in enumerate(labels) if name in (index, label)]
        if not ids:
            raise InvalidInput(f"palette: there is no class {name!r}.", hint=f"There are {', '.join(labels[:20])}.")
        colours[ids] = _rgb(colour)
    return colours


def _rgb(colour: object) -> tuple[int, ...]:
    if isinstance(colour, str):
        try:
            return ImageColor.getrgb(colour)[:3]
        except ValueError as error:
            raise InvalidInput(f"palette: {colour!r} is no colour that Pillow knows.") from error
    values = list(colour) if isinstance(colour, (Sequence, np.ndarray)) else []
    if len(values) != 3 or not all(isinstance(value, Real) and value in range(256) for value in values):
        raise InvalidInput(f"palette: red, green and blue from 0 to 255 were expected, found {shown(colour)}.")
    return tuple(int(value) for value in values)
