"""From the object that a pickle spells to a checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from zoo.checkpoint.describe import listed, quoted
from zoo.checkpoint.directory import ModelDirectory
from zoo.checkpoint.pickles.arrays import Array, array_record
from zoo.checkpoint.pickles.globals import Vocabulary
from zoo.checkpoint.pickles.inert import Call, Global, Inert
from zoo.checkpoint.pickles.tensors import tensor_record
from zoo.checkpoint.pickles.tree import Tree, walk
from zoo.checkpoint.records import Checkpoint, CodeReport, Selection, TensorRecord
from zoo.checkpoint.rules import METADATA_KEY, name_problem
from zoo.checkpoint.select import choose as choose_branch

__all__ = ["assemble"]


def assemble(
    path: Path,
    root: object,
    vocabulary: Vocabulary,
    *,
    format: str,
    warnings: Sequence[str] = (),
    choose: Callable[[Sequence[str]], Selection] | None = None,
) -> Checkpoint:
    """The checkpoint of a file. root: what its pickle spells.

    choose: from the names of all tensors, which part is the model, where the format says more than the tree does.
    A file may hold no tensor at all, and still be asked what it would run. Raises MalformedCheckpoint when a tensor is
    none.
    """
    tree = walk(root)
    records: dict[str, TensorRecord] = {}
    unsupported: dict[str, str] = dict(tree.unlisted)
    numbers: dict[int, int] = {}
    for name, leaf in tree.leaves:
        if name in records or name in unsupported:
            records.pop(name, None)
            unsupported[name] = "two tensors have this path, so that neither can be told by it"
            continue
        problem = name_problem(name)
        if problem is None and name == METADATA_KEY:
            problem = "safetensors keeps this name for metadata"
        record: TensorRecord | str
        if problem is not None:
            record = problem
        elif isinstance(leaf, Array):
            # One array under two names is one; the tree keeps all of them alive, so that an id means one.
            number = numbers.setdefault(id(leaf), len(numbers) + 1)
            if isinstance(leaf.content, str):
                vocabulary.charge(len(leaf.content))
            record = array_record(name, leaf, path, number)
        else:
            record = tensor_record(name, leaf, path)
        if isinstance(record, str):
            unsupported[name] = record
        else:
            records[name] = record
    code = vocabulary.report()
    notes = [*warnings, *tree.warnings]
    if code.runs_code:
        notes.append(f"Loading it with pickle would run code: {_what_runs(code)}. zoo ran none of it.")
    return Checkpoint(
        format=format,
        location=path,
        files=(path,),
        records=records,
        side_files=ModelDirectory(path.parent),
        unsupported=unsupported,
        selection=_selection(root, tree, choose),
        code=code,
        warnings=notes,
    )


def _what_runs(code: CodeReport) -> str:
    """What is called, and of what else the module would be imported, which runs what stands in it."""
    called = [quoted(use.dotted) for use in code.globals if use.verdict == "code" and use.called]
    imported = [quoted(use.dotted) for use in code.globals if use.verdict == "code" and not use.called]
    parts = [f"it calls {listed(called, 8)}"] if called else []
    if imported:
        modules = "its module" if len(imported) == 1 else "their modules"
        parts.append(f"it names {listed(imported, 8)}: {modules} would be imported")
    return "; ".join(parts)


def _selection(root: object, tree: Tree, choose: Callable[[Sequence[str]], Selection] | None) -> Selection:
    """What is the model; of a file that holds no tensor, what it holds instead."""
    if not tree.leaves:
        return Selection(None, reason=f"It holds {_contents(root)}.")
    return choose_branch(tree.top) if choose is None else choose([name for name, _ in tree.leaves])


def _contents(root: object) -> str:
    """What a pickle without tensors is, in a few words."""
    if isinstance(root, dict):
        keys = [quoted(key) for key in root if isinstance(key, str)]
        return f"a dictionary of {listed(keys, 6) or len(root)}" if root else "an empty dictionary"
    if isinstance(root, Call):
        callee = root.callee
        name = quoted(f"{callee.module}.{callee.name}") if isinstance(callee, Global) else "the result of a call"
        return f"an instance of {name}"
    if isinstance(root, Global):
        return f"the global {quoted(f'{root.module}.{root.name}')}"
    return (
        "nothing"
        if root is None
        else f"a {type(root).__name__.lower()}"
        + (" of no elements" if isinstance(root, (list, tuple)) and not root else "")
        if not isinstance(root, Inert)
        else "an object"
    )
