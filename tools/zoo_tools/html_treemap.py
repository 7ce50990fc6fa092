"""The treemap as SVG, and what its colours mean."""

from __future__ import annotations

import html
from collections.abc import Iterator

from zoo.cli.text import escaped
from zoo.cli.wording import plural, scaled_size
from zoo_tools.tiles import HEADING, Tile, tiles
from zoo_tools.tree import Branch
from zoo_tools.treemap import Rectangle

__all__ = ["TIMES", "Colours", "treemap"]

TIMES = "\N{MULTIPLICATION SIGN}"

WIDTH, HEIGHT = 1160.0, 620.0
LETTER = 6.1
"""The width of a letter of 11 pixels, about."""

# Ten hues of about equal weight that differ for people who see few of them; what is rarer is grey.
PALETTE = (
    ("#3f6c9e", "#5b8fc7"),
    ("#b5651d", "#cf8540"),
    ("#3e8447", "#5aa662"),
    ("#a4476a", "#c56a89"),
    ("#2c8580", "#48a8a1"),
    ("#7a57a3", "#9f7cc2"),
    ("#8d7016", "#b5973a"),
    ("#b04a50", "#cf6f75"),
    ("#5c7a2b", "#80a347"),
    ("#6d5a4c", "#9a8371"),
)
_PARAMETERS = ("weight", "bias", "scale", "scales", "qweight", "qzeros", "in_proj_weight")
_LONGEST_KIND = 40


class Colours:
    """Tensors of one kind have one colour, wherever they are: all `q_proj`, say. The largest kinds have one each."""

    def __init__(self, root: Branch) -> None:
        self._whole = root.nbytes
        sizes: dict[str, int] = {}
        for _, branch in root.walk():
            if branch.stored_as is not None and branch.tied_to is None:
                own = branch.nbytes - sum(child.nbytes for child in branch.children)
                kind = _kind(branch.path)
                sizes[kind] = sizes.get(kind, 0) + own
        self._ordered = sorted(sizes.items(), key=lambda item: (-item[1], item[0]))[: len(PALETTE)]
        self._places = {kind: place for place, (kind, _) in enumerate(self._ordered)}
        self._rest = self._whole - sum(size for _, size in self._ordered)

    def place(self, path: str) -> int:
        """The number of a tensor's colour."""
        return self._places.get(_kind(path), len(PALETTE))

    def entries(self) -> Iterator[tuple[int, str, int]]:
        """(number, kind, bytes) of all that is in use, the largest first."""
        for place, (kind, size) in enumerate(self._ordered):
            yield place, kind, size
        if self._rest > 0:
            yield len(PALETTE), "the rest", self._rest

    def style(self) -> str:
        """The rules for both rooms."""
        light = "".join(f".c{place}{{fill:{one};background:{one}}}" for place, (one, _) in enumerate(PALETTE))
        dark = "".join(f".c{place}{{fill:{two};background:{two}}}" for place, (_, two) in enumerate(PALETTE))
        return f"{light}@media(prefers-color-scheme:dark){{{dark}}}"


def _kind(path: str) -> str:
    """The module that a tensor belongs to, without numbers: `q_proj` of `layers.{0-31}.self_attn.q_proj.weight`."""
    parts = [part for part in path.split(".") if not part.isdigit() and not part.startswith("{")]
    if len(parts) > 1 and parts[-1] in _PARAMETERS:
        parts.pop()
    return parts[-1][:_LONGEST_KIND] if parts else path[:_LONGEST_KIND]


def treemap(root: Branch, colours: Colours) -> str:
    """An SVG element in which each tensor's area is its bytes; what it is stands in its tooltip."""
    body = "".join(_tile(tile, root.nbytes, colours) for tile in tiles(root, Rectangle(0.0, 0.0, WIDTH, HEIGHT)))
    return (
        f'<svg class="map" viewBox="0 0 {WIDTH:.0f} {HEIGHT:.0f}" role="img" '
        f'aria-label="Treemap of the bytes of all tensors">{body}</svg>'
    )


def _tile(tile: Tile, whole: int, colours: Colours) -> str:
    x, y, width, height = tile.place
    kind = "group" if tile.is_group else "small" if tile.branch is None else f"c{_colour(tile.branch, colours)}"
    box = f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="2"/>'
    return f"<g><title>{_text(_tooltip(tile, whole))}</title>{box}{_words(tile)}</g>"


def _colour(branch: Branch, colours: Colours) -> int:
    """That of its tensor, or of the largest one below what is shown as one tile."""
    while branch.stored_as is None and branch.children:
        branch = max(branch.children, key=lambda child: child.nbytes)
    return colours.place(branch.path)


def _tooltip(tile: Tile, whole: int) -> str:
    facts = f"{scaled_size(tile.nbytes)}, {tile.nbytes / whole:.2%}"
    if tile.branch is None:
        return f"{plural(tile.count, 'smaller tensor')}\n{facts}"
    what = plural(tile.count, "tensor")
    if tile.branch.stored_as is not None and not tile.branch.children:
        shape = f" {TIMES} ".join(map(str, tile.branch.shape or ())) or "scalar"
        what = f"{tile.branch.stored_as}, {shape}" + (f", {what}" if tile.count > 1 else "")
    return f"{tile.branch.path}\n{what}\n{facts}"


def _words(tile: Tile) -> str:
    x, y, width, height = tile.place
    if tile.branch is None or height < HEADING or width < 30:
        return ""
    fitting = int((width - 8) / LETTER)
    label = escaped(tile.branch.label)
    copies = f" {TIMES}{tile.branch.copies}" if tile.branch.copies > 1 else ""
    if len(label) + len(copies) <= fitting:
        label += copies
    elif len(label) > fitting:
        label = label[: fitting - 1] + "…"
    kind = "heading" if tile.is_group else "label"
    words = f'<text class="{kind}" x="{x + 4:.1f}" y="{y + 11.5:.1f}">{html.escape(label)}</text>'
    size = scaled_size(tile.nbytes)
    if not tile.is_group and height > 2 * HEADING and len(size) <= fitting:
        words += f'<text class="size" x="{x + 4:.1f}" y="{y + 25:.1f}">{size}</text>'
    return words


def _text(text: str) -> str:
    """Text of several lines inside SVG."""
    return html.escape("\n".join(escaped(line) for line in text.split("\n")))
