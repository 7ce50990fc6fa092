"""Tensors folded by the dots in their names: totals per prefix, and one line for numbered siblings that are alike."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import groupby

from zoo.describe import Description
from zoo_tools.inspection import TensorReport

__all__ = ["Branch", "fold"]

DEEPEST = 64
"""Names are taken apart at so many dots; what a stranger puts beyond stays in one piece."""


@dataclass(frozen=True, slots=True)
class Branch:
    """A prefix of names, or a whole name. copies: how many siblings that are alike it stands for.

    label: the part of the name that the branch adds, "{0-11}" for numbered siblings. path: the name down to here.
    tensors, elements, nbytes: of all that it stands for, so that the branches below add up to it; a tied tensor has its
    elements and bytes where its first name is. stored_as, shape, tied_to: of one tensor, when it stands for such.
    """

    label: str
    path: str
    copies: int
    tensors: int
    elements: int
    nbytes: int
    stored_as: str | None
    shape: tuple[int, ...] | None
    tied_to: str | None
    children: tuple[Branch, ...]

    def walk(self, depth: int | None = None, level: int = 0) -> Iterator[tuple[int, Branch]]:
        """All branches below this one with their level, from the top; depth: only so many levels."""
        for child in self.children:
            yield level, child
            if depth is None or level + 1 < depth:
                yield from child.walk(depth, level + 1)

    def to_json(self, depth: int | None = None) -> Description:
        """The branch as a JSON object; depth: with only so many levels below it."""
        below = None if depth is None else depth - 1
        return {
            "label": self.label,
            "path": self.path,
            "copies": self.copies,
            "tensors": self.tensors,
            "elements": self.elements,
            "bytes": self.nbytes,
            "dtype": self.stored_as,
            "shape": None if self.shape is None else list(self.shape),
            "tied_to": self.tied_to,
            "children": [child.to_json(below) for child in self.children] if below is None or below >= 0 else [],
        }


def fold(tensors: Iterable[TensorReport]) -> Branch:
    """The tree of these tensors, in their order; its root has no name.

    Siblings that are numbered without a gap and hold the same below (names, dtypes, shapes) become one branch with
    `copies`. A prefix with a single branch below it and no tensor of its own is written together with that branch.
    """
    root = _Node()
    for tensor in tensors:
        node = root
        for part in tensor.name.split(".", DEEPEST - 1):
            node = node.children.setdefault(part, _Node())
        node.tensor = tensor
    seen: dict[Hashable, int] = {}
    _sign(root, seen)
    return _branch(root, "", None, 1, 1)


@dataclass(slots=True)
class _Node:
    tensor: TensorReport | None = None
    children: dict[str, _Node] = field(default_factory=dict)
    signature: int = 0


def _sign(node: _Node, seen: dict[Hashable, int]) -> int:
    """Give equal numbers to nodes that are alike."""
    tensor = node.tensor
    below = tuple((part, _sign(child, seen)) for part, child in node.children.items())
    own = None if tensor is None else (tensor.stored_as, tensor.shape, tensor.nbytes, tensor.tied_to)
    node.signature = seen.setdefault((own, below), len(seen))
    return node.signature


def _branch(node: _Node, label: str, path: str | None, copies: int, multiple: int) -> Branch:
    """multiple: how many of the node there are, with the copies of all prefixes above it."""
    children = tuple(
        _branch(child, part, part if path is None else f"{path}.{part}", run, multiple * run)
        for part, child, run in _runs(node)
    )
    tensor = node.tensor
    if path is not None and tensor is None and len(children) == 1:
        # A chain of prefixes with nothing but one another in them reads best as one.
        return replace(children[0], label=f"{label}.{children[0].label}", copies=copies * children[0].copies)
    stored = tensor if tensor is not None and tensor.tied_to is None else None
    return Branch(
        label=label,
        path=path or "",
        copies=copies,
        tensors=sum(child.tensors for child in children) + (multiple if tensor else 0),
        elements=sum(child.elements for child in children) + (multiple * stored.elements if stored else 0),
        nbytes=sum(child.nbytes for child in children) + (multiple * stored.nbytes if stored else 0),
        stored_as=tensor.stored_as if tensor else None,
        shape=tensor.shape if tensor else None,
        tied_to=tensor.tied_to if tensor else None,
        children=children,
    )


def _runs(node: _Node) -> Iterator[tuple[str, _Node, int]]:
    """The children, those that are numbered, alike and without a gap as one: (label, one of them, how many)."""
    named = [(part, child) for part, child in node.children.items() if not _is_number(part)]
    numbered = sorted(
        ((int(part), child) for part, child in node.children.items() if _is_number(part)), key=lambda item: item[0]
    )
    ordered = [(part, child, 1) for part, child in named]
    # What is in one run keeps the same distance to its place in the list.
    for _, run in groupby(enumerate(numbered), lambda item: (item[1][0] - item[0], item[1][1].signature)):
        members = [member for _, member in run]
        first, last = members[0][0], members[-1][0]
        label = str(first) if first == last else f"{{{first}-{last}}}"
        ordered.append((label, members[0][1], len(members)))
    yield from ordered


def _is_number(part: str) -> bool:
    """Whether this is a number that is written in one way only, so that no two siblings can have it."""
    return part.isascii() and part.isdigit() and len(part) < 10 and (part == "0" or not part.startswith("0"))
