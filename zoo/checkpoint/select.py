"""Which part of a training checkpoint is the model, and a checkpoint of that part alone."""

from __future__ import annotations

from dataclasses import dataclass, field

from zoo.checkpoint.describe import listed, quoted, shown_path
from zoo.checkpoint.records import Checkpoint, Selection, TensorRecord
from zoo.errors import CheckpointError

__all__ = ["Branch", "choose", "is_set_aside", "select_tensors"]

_ASIDE = frozenset(
    {
        "amp",
        "callback",
        "callbacks",
        "dataloader",
        "loops",
        "optim",
        "optimiser",
        "optimisers",
        "optimizer",
        "optimizers",
        "random",
        "rng",
        "sampler",
        "scaler",
        "scalers",
        "sched",
        "scheduler",
        "schedulers",
    }
)
_STATE_DICTS = frozenset({"model_state", "model_state_dict", "state_dict"})
_WHOLE = (".", "")


@dataclass(slots=True)
class Branch:
    """A container on the way to tensors. key: its own part of the path. leaves: the paths of the tensors right in it.

    weights, arrays: how many tensors, or numpy arrays, of more than one element it holds itself. In the totals what is
    below it counts too.
    """

    path: str
    key: str
    leaves: list[str] = field(default_factory=list)
    children: list[Branch] = field(default_factory=list)
    weights: int = 0
    arrays: int = 0
    total_leaves: int = 0
    total_weights: int = 0
    total_arrays: int = 0
    is_module: bool = False
    is_optimizer: bool = False

    def close(self, parent: Branch | None) -> None:
        """Sum up, once all children are closed, and join the parent if there is a tensor here at all."""
        self.total_leaves = len(self.leaves) + sum(child.total_leaves for child in self.children)
        self.total_weights = self.weights + sum(child.total_weights for child in self.children)
        self.total_arrays = self.arrays + sum(child.total_arrays for child in self.children)
        if parent is not None and self.total_leaves:
            parent.children.append(self)


def is_set_aside(key: str) -> bool:
    """Whether what stands under this key goes with the training and not with the model: "optimizer_states", "rng"."""
    if "." in key:
        return False  # a parameter's own name in a flat state dict
    words = key.lower().replace("-", "_").replace(" ", "_").split("_")
    return not _ASIDE.isdisjoint(words)


def choose(top: Branch) -> Selection:
    """The sub-tree that is the model: the first one down the only way to parameters that holds tensors itself."""
    kind = "weights" if top.total_weights else "arrays" if top.total_arrays else "leaves"
    branch, left_out = top, list[str]()
    while True:
        own = _own(branch, kind)
        state_dicts = [child for child in branch.children if child.key in _STATE_DICTS and _total(child, kind)]
        if own and state_dicts and not branch.is_module:
            candidates = (branch.path, *(child.path for child in state_dicts))
            return Selection(
                None,
                candidates,
                tuple(left_out),
                f"tensors stand beside {quoted(state_dicts[0].path)}, which looks like the model",
            )
        if own or branch.is_module:
            return Selection(branch.path, (branch.path,), tuple(left_out), _reason(branch))
        ways = [child for child in branch.children if _total(child, kind)]
        aside = [child for child in ways if child.is_optimizer or is_set_aside(child.key)]
        kept = [child for child in ways if not (child.is_optimizer or is_set_aside(child.key))]
        lesser = [child for child in branch.children if not _total(child, kind)]
        if branch.is_optimizer:
            return Selection(None, (), (*left_out, branch.path), "it is the state of an optimizer")
        if not kept:
            left_out.extend(child.path for child in aside)
            return Selection(None, (), tuple(left_out), "only states of the training hold tensors")
        if len(kept) > 1:
            left_out.extend(child.path for child in aside)
            return Selection(
                None, tuple(child.path for child in kept), tuple(left_out), "several parts of the file hold parameters"
            )
        left_out.extend((*branch.leaves, *(child.path for child in (*aside, *lesser))))
        branch = kept[0]


def select_tensors(checkpoint: Checkpoint, select: str | None = None) -> Checkpoint:
    """The checkpoint of one sub-tree, names relative to it.

    select: the dotted path of the sub-tree, "" or "." for everything under full paths, None for the automatic choice
    (`checkpoint.selection`). A path that names one tensor gives that tensor under the last part of its name.
    Raises CheckpointError when the file holds no tensors, and, listing the candidates, when the automatic choice can't
    be made or nothing has this path.
    """
    selection = checkpoint.selection
    if selection is not None and not checkpoint and not checkpoint.unsupported:
        raise CheckpointError(
            f"{shown_path(checkpoint.location)} holds no tensors, so it is no checkpoint. {selection.reason}",
            hint="Files such as training_args.bin or the state of a scheduler lie beside checkpoints; they are none.",
        )
    if select is None:
        if selection is None:
            return checkpoint
        if selection.path is None:
            raise _undecided(checkpoint, selection)
        path, reason = selection.path, selection.reason
    else:
        path, reason = "" if select in _WHOLE else select, "it was asked for"
    if not path:
        return _derived(checkpoint, "", 0, Selection("", ("",), (), reason))
    prefix = f"{path}."
    names = [*checkpoint, *checkpoint.unsupported, *checkpoint.aliases]
    if any(name.startswith(prefix) for name in names):
        return _derived(checkpoint, prefix, len(prefix), _chosen(path, reason, selection))
    if path in checkpoint or path in checkpoint.unsupported:
        return _derived(checkpoint, path, path.rfind(".") + 1, _chosen(path, reason, selection))
    raise CheckpointError(
        f"{shown_path(checkpoint.location)}: no tensor is under {quoted(path)}. At the top are "
        f"{listed(map(quoted, dict.fromkeys(name.split('.', 1)[0] for name in names)))}.",
        hint="See `zoo inspect` for the paths of all tensors.",
    )


def _derived(checkpoint: Checkpoint, prefix: str, cut: int, selection: Selection) -> Checkpoint:
    """The part whose names begin with the prefix, `cut` characters less. An exact name is a prefix of itself alone."""
    exact = bool(prefix) and not prefix.endswith(".")

    def inside(name: str) -> bool:
        return name == prefix if exact else name.startswith(prefix)

    if cut:
        records = {
            name[cut:]: TensorRecord(name[cut:], record.dtype, record.shape, record.data)
            for name, record in checkpoint.items()
            if inside(name)
        }
    else:
        records = {name: record for name, record in checkpoint.items() if inside(name)}
    aliases = {name[cut:]: kept[cut:] for name, kept in checkpoint.aliases.items() if inside(name) and inside(kept)}
    for name, kept in checkpoint.aliases.items():
        if inside(name) and not inside(kept):
            # What it is an alias of stays behind, so here it is the tensor itself.
            record = checkpoint[kept]
            records[name[cut:]] = TensorRecord(name[cut:], record.dtype, record.shape, record.data)
    return Checkpoint(
        format=checkpoint.format,
        location=checkpoint.location,
        files=checkpoint.files,
        records=records,
        metadata=checkpoint.metadata,
        side_files=checkpoint.side_files,
        aliases=aliases,
        unsupported={name[cut:]: reason for name, reason in checkpoint.unsupported.items() if inside(name)},
        selection=selection,
        code=checkpoint.code,
        warnings=checkpoint.warnings,
    )


def _chosen(path: str, reason: str, selection: Selection | None) -> Selection:
    return Selection(path, (path,), selection.left_out if selection is not None else (), reason)


def _undecided(checkpoint: Checkpoint, selection: Selection) -> CheckpointError:
    candidates = listed(quoted(path) if path else "'.' (everything)" for path in selection.candidates)
    place = shown_path(checkpoint.location)
    if not selection.candidates:
        parts = listed(map(quoted, selection.left_out)) or "none"
        return CheckpointError(
            f"{place}: which of its tensors are the model's can't be told: {selection.reason} ({parts}).",
            hint="Say which part to take, or '.' for everything: `--select .`",
        )
    first = selection.candidates[-1]
    return CheckpointError(
        f"{place}: which of its tensors are the model's can't be told: {selection.reason}: {candidates}.",
        hint=f"Say which one to take, for instance `--select {first}`, or `--select .` for everything.",
    )


def _own(branch: Branch, kind: str) -> int:
    return {"weights": branch.weights, "arrays": branch.arrays, "leaves": len(branch.leaves)}[kind]


def _total(branch: Branch, kind: str) -> int:
    return {"weights": branch.total_weights, "arrays": branch.total_arrays, "leaves": branch.total_leaves}[kind]


def _reason(branch: Branch) -> str:
    what = "a whole module" if branch.is_module else "what holds the parameters"
    return (
        f"it is {what}, and nothing else holds any"
        if branch.path
        else ("the file is a whole module" if branch.is_module else "the tensors stand at the top of the file")
    )
