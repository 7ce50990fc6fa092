"""Rectangles whose areas are sizes."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo_tools.inspection import TensorReport
from zoo_tools.tiles import MOST_CHILDREN, MOST_TILES, tiles
from zoo_tools.tree import fold
from zoo_tools.treemap import Rectangle, squarify

PLACE = Rectangle(10.0, 20.0, 600.0, 400.0)
SIZES = st.lists(st.integers(1, 10_000), min_size=1, max_size=60).map(lambda sizes: sorted(sizes, reverse=True))


def tensor(name, nbytes):
    return TensorReport(name, "U8", (nbytes,), nbytes, nbytes, Path("a"), None, True, None)


@given(SIZES)
def test_areas_are_sizes_and_fill_the_place(sizes):
    rectangles = squarify(sizes, PLACE)
    area = PLACE.width * PLACE.height
    for size, rectangle in zip(sizes, rectangles, strict=True):
        assert rectangle.width * rectangle.height == pytest.approx(area * size / sum(sizes), rel=1e-6, abs=1e-6)
        assert rectangle.x >= PLACE.x - 1e-6 and rectangle.x + rectangle.width <= PLACE.x + PLACE.width + 1e-6
        assert rectangle.y >= PLACE.y - 1e-6 and rectangle.y + rectangle.height <= PLACE.y + PLACE.height + 1e-6


@given(SIZES)
def test_no_two_overlap(sizes):
    rectangles = squarify(sizes, PLACE)
    for number, one in enumerate(rectangles):
        for other in rectangles[number + 1 :]:
            across = min(one.x + one.width, other.x + other.width) - max(one.x, other.x)
            down = min(one.y + one.height, other.y + other.height) - max(one.y, other.y)
            assert across <= 1e-6 or down <= 1e-6


def test_equal_sizes_are_about_square():
    for rectangle in squarify([1.0] * 24, PLACE):
        assert 0.5 <= rectangle.width / rectangle.height <= 2.0


def test_nothing_is_nothing():
    assert squarify([], PLACE) == []
    assert squarify([1.0], Rectangle(0.0, 0.0, 0.0, 5.0)) == [Rectangle(0.0, 0.0, 0.0, 0.0)]


def test_tiles_are_bounded_in_number():
    root = fold([tensor(f"{prefix}.{part}.w", 1000 + prefix) for prefix in range(300) for part in "abcdefghij"])
    found = tiles(root, PLACE)
    assert MOST_TILES / 4 < len(found) < MOST_TILES + MOST_CHILDREN + 1
    outer = [tile for tile in found if tile.branch in (*root.children, None)]
    assert sum(tile.nbytes for tile in found if tile.branch is None or tile.branch in root.children) >= root.nbytes
    assert len(outer) <= MOST_CHILDREN + 1 + sum(tile.is_group for tile in found)


def test_the_small_ones_share_a_tile():
    found = tiles(fold([tensor("large", 10**9), *(tensor(f"small{number}", 1) for number in range(100))]), PLACE)
    assert [(tile.branch and tile.branch.label, tile.count) for tile in found] == [("large", 1), (None, 100)]


def test_a_name_that_is_also_a_prefix_has_a_tile_inside_it():
    found = tiles(fold([tensor("a", 100), tensor("a.b", 50), tensor("c", 60)]), PLACE)
    assert [(tile.branch.path, tile.nbytes, tile.is_group) for tile in found] == [
        ("a", 150, True),
        ("c", 60, False),
        ("a", 100, False),
        ("a.b", 50, False),
    ]


def test_a_checkpoint_without_bytes_has_no_tiles():
    assert tiles(fold([tensor("a", 0)]), PLACE) == [] == tiles(fold([]), PLACE)
