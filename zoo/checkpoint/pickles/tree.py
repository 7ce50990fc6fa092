"""Finds the tensors in what a pickle spells, by their paths: "state_dict.layer.weight"."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import Final, TypeAlias

from zoo.checkpoint.describe import quoted, shown_integer
from zoo.checkpoint.pickles.arrays import Array
from zoo.checkpoint.pickles.inert import Call, Collection, OddKey
from zoo.checkpoint.pickles.modules import Part, attributes, is_module, state_of_module
from zoo.checkpoint.pickles.tensors import Storage, Tensor, Unreadable
from zoo.checkpoint.select import Branch, is_set_aside

__all__ = ["Leaf", "Tree", "walk"]

Leaf: TypeAlias = Tensor | Array | Unreadable

_DEEPEST: Final = 200
_LONGEST_NAME: Final = 4096
_MOST_CHARACTERS: Final = 2**28
_MOST_UNLISTED: Final = 100
_SHOWN_OF_UNLISTED: Final = 200
_TOO_LONG: Final = (
    f"what is there is not listed: its path is longer than {_LONGEST_NAME} characters, or one of very many"
)
_TOO_DEEP: Final = f"what is there is not listed: it is nested more than {_DEEPEST} levels deep"
_LONE_NAME: Final = "tensor"
_BARE: Final = Unreadable("it is a bare storage, without a shape")


@dataclass(slots=True)
class Tree:
    """leaves: (path, tensor), in the order of the file. unlisted: the beginning of a path -> why what is there is not
    among them; the first of many.
    """

    top: Branch
    leaves: list[tuple[str, Leaf]] = field(default_factory=list)
    unlisted: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def leave_out(self, prefix: str, part: str, reason: str) -> None:
        """Note what is not listed."""
        if len(self.unlisted) < _MOST_UNLISTED:
            path = f"{prefix[:_SHOWN_OF_UNLISTED]}{part[:_SHOWN_OF_UNLISTED]}"
            self.unlisted[f"{path[:_SHOWN_OF_UNLISTED]}..."] = reason


class _TooManyPaths(Exception):
    """Shared containers spell far more paths than there are objects."""


def walk(root: object) -> Tree:
    """List all tensors below an object. A container that is reached by two paths is listed under both of them, as a
    state dict has it; where that would take forever, under the first alone.
    """
    try:
        return _walk(root, once=False)
    except _TooManyPaths:
        tree = _walk(root, once=True)
        tree.warnings.append(
            "Its containers hold each other in so many ways that each is listed only once, under its first path."
        )
        return tree


@dataclass(slots=True)
class _Frame:
    """A container that is being walked. prefix: of the names in it."""

    identity: int
    branch: Branch
    prefix: str
    rest: Iterator[tuple[object, object]]


def _walk(root: object, *, once: bool) -> Tree:
    tree = Tree(Branch("", ""))
    if isinstance(root, (Tensor, Array, Unreadable, Storage)):
        _add(tree, tree.top, _LONE_NAME, _LONE_NAME, root)
        tree.top.close(None)
        return tree
    seen: set[int] = set()
    on_path: set[int] = set()
    first_visits = repeated = characters = 0
    cycles = 0
    # Objects stay alive through the root, so that an identity means one object only; the rest are kept here.
    frames: list[_Frame] = []
    pending: tuple[object, Branch, str] | None = (root, tree.top, "")
    while True:
        if pending is not None:
            value, branch, prefix = pending
            pending = None
            identity = id(value)
            members: list[Iterable[tuple[object, object]]] = []
            for part in _parts(value, branch):
                # Instances are many, and may all have one dictionary for their attributes.
                if part.source and id(part.source) in seen:
                    if once:
                        continue
                    repeated += len(part.source) + 1
                    if repeated > 4 * first_visits + 100_000:
                        raise _TooManyPaths
                else:
                    first_visits += len(part.source) + 1
                    seen.add(id(part.source))
                members.append(part.members)
            seen.add(identity)
            on_path.add(identity)
            frames.append(_Frame(identity, branch, prefix, chain.from_iterable(members)))
        if not frames:
            break
        frame = frames[-1]
        prefix, branch = frame.prefix, frame.branch
        for key, child in frame.rest:
            kind = type(child)
            if isinstance(child, (Tensor, Array, Unreadable, Storage)):
                step = key if type(key) is str else _step(key)
                length = len(prefix) + len(step)
                characters += length
                if length > _LONGEST_NAME or characters > _MOST_CHARACTERS:
                    tree.leave_out(prefix, step, _TOO_LONG)
                else:
                    _add(tree, branch, step, prefix + step, child)
            elif kind is dict or kind is list or kind is tuple or kind is Call or kind is Collection:
                if not child:
                    continue
                if id(child) in on_path:
                    cycles += 1
                    continue
                if once and id(child) in seen:
                    continue
                step = key if type(key) is str else _step(key)
                length = len(prefix) + len(step)
                characters += length
                if len(frames) >= _DEEPEST:
                    tree.leave_out(prefix, step, _TOO_DEEP)
                elif length > _LONGEST_NAME or characters > _MOST_CHARACTERS:
                    tree.leave_out(prefix, step, _TOO_LONG)
                else:
                    path = prefix + step
                    pending = (child, Branch(path, step), f"{path}.")
                    break
        if pending is None:
            frames.pop()
            on_path.discard(frame.identity)
            frame.branch.close(frames[-1].branch if frames else None)
    if cycles:
        tree.warnings.append(f"Its containers hold themselves, in {cycles} places; there they are not followed.")
    return tree


def _add(tree: Tree, branch: Branch, step: str, name: str, leaf: Leaf | Storage) -> None:
    if isinstance(leaf, Storage):
        # It is no parameter, but bytes that someone saved; what can't be read must be named.
        tree.leaves.append((name, _BARE))
        branch.leaves.append(name)
        return
    tree.leaves.append((name, leaf))
    branch.leaves.append(name)
    if is_set_aside(step):
        return
    if isinstance(leaf, Tensor):
        if not leaf.is_scalar:
            branch.weights += 1
    elif isinstance(leaf, Array):
        if not leaf.is_scalar:
            branch.arrays += 1
    else:
        branch.weights += 1


def _parts(value: object, branch: Branch) -> Iterable[Part]:
    """The keys and values of a container, by where they are taken from."""
    if isinstance(value, dict):
        branch.is_optimizer = "state" in value and "param_groups" in value
        return (Part(value, value.items()),)
    if isinstance(value, (list, tuple)):
        return (Part(value, enumerate(value)),)
    if isinstance(value, Collection):
        return (Part(value.items, enumerate(value.items)),)
    if isinstance(value, Call):
        branch.is_module = is_module(value)
        return state_of_module(value) if branch.is_module else attributes(value)
    return ()


def _step(key: object) -> str:
    """How a key that is no text stands in a path."""
    value = key.value if isinstance(key, OddKey) else key
    if isinstance(value, bytes):
        return value[: _LONGEST_NAME + 1].decode("utf-8", "backslashreplace")
    if value is None or isinstance(value, (int, float, str)):
        return _shown(value)
    if isinstance(value, tuple) and len(value) < 8 and all(isinstance(item, (int, float, str)) for item in value):
        return quoted(",".join(_shown(item)[:40] for item in value))
    # To spell out what a stranger nested can take forever.
    return f"<{type(value).__name__}>"


def _shown(value: object) -> str:
    return shown_integer(value) if type(value) is int else str(value)
