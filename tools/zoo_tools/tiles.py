"""The tiles of a treemap of tensors: prefixes around their tensors, bounded in number whatever the checkpoint."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass, replace

from zoo_tools.tree import Branch
from zoo_tools.treemap import Rectangle, squarify

__all__ = ["Tile", "tiles"]

MOST_TILES = 1500
MOST_CHILDREN = 250
SMALLEST_AREA = 20.0
"""Square units of the page below which a tile is no longer seen; the smaller ones share one."""

MARGIN, HEADING = 2.0, 15.0


@dataclass(frozen=True, slots=True)
class Tile:
    """A tile. branch: what it stands for; None for what is too small to be shown alone. count: how many tensors.

    is_group: whether other tiles lie in it, below its heading.
    """

    branch: Branch | None
    nbytes: int
    count: int
    place: Rectangle
    is_group: bool


def tiles(root: Branch, place: Rectangle) -> list[Tile]:
    """All tiles, each group before what lies in it. The largest are taken apart first, until there are enough."""
    found: list[Tile] = []
    queue: list[tuple[int, int, Branch, Rectangle]] = []
    _lay(root, place, found, queue)
    while queue and len(found) < MOST_TILES:
        _, number, branch, inner = heapq.heappop(queue)
        if _lay(branch, inner, found, queue):
            found[number] = replace(found[number], is_group=True)
    return found


def _lay(branch: Branch, place: Rectangle, found: list[Tile], queue: list[tuple[int, int, Branch, Rectangle]]) -> bool:
    """Lay what is directly below a branch, the largest first and the small ones as one; False if none can be seen."""
    children = sorted((child for child in _parts(branch) if child.nbytes), key=lambda child: -child.nbytes)
    unit = place.width * place.height / branch.nbytes if branch.nbytes else 0.0
    shown = [child for child in children[:MOST_CHILDREN] if child.nbytes * unit >= SMALLEST_AREA]
    if not shown:
        return False
    entries: list[tuple[int, int, Branch | None]] = [(child.nbytes, child.tensors, child) for child in shown]
    rest = children[len(shown) :]
    if rest:
        entries.append((sum(child.nbytes for child in rest), sum(child.tensors for child in rest), None))
        entries.sort(key=lambda entry: -entry[0])
    places = squarify([nbytes for nbytes, _, _ in entries], place)
    for (nbytes, count, child), rectangle in zip(entries, places, strict=True):
        inner = rectangle.inset(MARGIN, HEADING)
        if child is not None and child.children and inner.width > MARGIN and inner.height > MARGIN:
            heapq.heappush(queue, (-nbytes, len(found), child, inner))
        found.append(Tile(child, nbytes, count, rectangle, is_group=False))
    return True


def _parts(branch: Branch) -> Iterable[Branch]:
    """What is below a branch, and its own tensor, if it has both."""
    own = branch.nbytes - sum(child.nbytes for child in branch.children)
    return (*branch.children, replace(branch, nbytes=own, children=())) if own else branch.children
