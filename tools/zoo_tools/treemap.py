"""Rectangles whose areas are sizes, as square as can be (Bruls, Huizing, van Wijk: Squarified Treemaps, 2000)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["Rectangle", "squarify"]


class Rectangle(NamedTuple):
    """A place on the page: its left upper corner, width and height."""

    x: float
    y: float
    width: float
    height: float

    def inset(self, side: float, top: float) -> Rectangle:
        """What is left inside a margin, which is larger at the top."""
        return Rectangle(
            self.x + side, self.y + top, max(0.0, self.width - 2 * side), max(0.0, self.height - side - top)
        )


def squarify(sizes: Sequence[float], place: Rectangle) -> list[Rectangle]:
    """One rectangle per size, in their order, which together fill the place. sizes: descending, all above 0."""
    if not sizes or place.width <= 0 or place.height <= 0:
        return [Rectangle(place.x, place.y, 0.0, 0.0) for _ in sizes]
    scale = place.width * place.height / sum(sizes)
    areas = [size * scale for size in sizes]
    rectangles: list[Rectangle] = []
    start = 0
    while start < len(areas):
        side = min(place.width, place.height)
        if side <= 0:  # what is left of a rounding
            rectangles += [Rectangle(place.x, place.y, 0.0, 0.0) for _ in areas[start:]]
            break
        end, total = start + 1, areas[start]
        while end < len(areas):
            # areas descend, so the extremes of a row are its first and its last
            grown = total + areas[end]
            if _worst(areas[start], areas[end], grown, side) > _worst(areas[start], areas[end - 1], total, side):
                break
            end, total = end + 1, grown
        row, place = _lay(areas[start:end], total, place)
        rectangles += row
        start = end
    return rectangles


def _worst(largest: float, smallest: float, total: float, side: float) -> float:
    """The worst ratio of sides in a row of areas that is laid along a side."""
    return max(side * side * largest / (total * total), total * total / (side * side * smallest))


def _lay(areas: Sequence[float], total: float, place: Rectangle) -> tuple[list[Rectangle], Rectangle]:
    """Lay a row along the shorter side; returns it and what is left of the place."""
    row = []
    if place.width >= place.height:
        thickness = total / place.height
        y = place.y
        for area in areas:
            row.append(Rectangle(place.x, y, thickness, area / thickness))
            y += area / thickness
        rest = Rectangle(place.x + thickness, place.y, max(0.0, place.width - thickness), place.height)
    else:
        thickness = total / place.width
        x = place.x
        for area in areas:
            row.append(Rectangle(x, place.y, area / thickness, thickness))
            x += area / thickness
        rest = Rectangle(place.x, place.y + thickness, place.width, max(0.0, place.height - thickness))
    return row, rest
