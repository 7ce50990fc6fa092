"""What a model that is to be loaded has and its checkpoint lacks, and the other way round."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from zoo.building import AnyModel, build
from zoo.composing import Composition
from zoo.interfaces.labels import are_names
from zoo.interfaces.task_model import ComposedTaskModel

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Difference", "canonical_tensors", "difference"]


@dataclass(frozen=True, kw_only=True)
class Difference:
    """untrained: canonical names of what the checkpoint has no weights for. unused: canonical name -> why the model
    lacks what is stored, or has it in another shape.
    ties: groups of canonical names that may be stored and are one tensor, the one that is kept first.
    """

    untrained: tuple[str, ...] = ()
    unused: dict[str, str] = field(default_factory=dict)
    ties: tuple[tuple[str, ...], ...] = ()


def difference(model: AnyModel, wanted: Composition, stored: Composition) -> Difference:
    """model: built of `wanted`, of a checkpoint that has `stored`. Of a head with other labels, only what depends on
    them is untrained; labels that had no names yet may be named.
    """
    if _parts(wanted) == _parts(stored):
        return Difference(ties=_ties(model))
    saved = build(stored)
    ours, theirs = canonical_tensors(model), canonical_tensors(saved)
    kept = ["backbone."]
    if wanted.neck is stored.neck:
        kept.append("neck.")
        if wanted.head is stored.head:
            kept.append("head.")
    fits = {
        name
        for name, tensor in theirs.items()
        if name in ours and ours[name].shape == tensor.shape and name.startswith(tuple(kept))
    }
    fits -= _of_other_labels(wanted, stored, theirs)
    untrained = tuple(name for name in ours if name not in fits and not name.startswith("backbone."))
    unused = {
        name: _why_unused(name, wanted, stored)
        for name in theirs
        if name not in fits and not (name.startswith("backbone.") and name in ours)
    }
    return Difference(untrained=untrained, unused=unused, ties=_ties(saved))


def _of_other_labels(wanted: Composition, stored: Composition, theirs: Mapping[str, Tensor]) -> set[str]:
    """What depends on the labels, where as many others are wanted than it was trained to tell apart."""
    trained: tuple[str, ...] = getattr(stored.head_config, "labels", ())
    labels: tuple[str, ...] = getattr(wanted.head_config, "labels", ())
    if wanted.head is not stored.head or labels == trained or len(labels) != len(trained) or not are_names(trained):
        return set()
    one_more = stored.head_config.replace(labels=(*trained, "one more"))
    larger = canonical_tensors(build(replace(stored, head_config=one_more)))
    return {name for name, tensor in theirs.items() if larger[name].shape != tensor.shape}


def canonical_tensors(model: AnyModel) -> dict[str, Tensor]:
    """Canonical name -> tensor, of all that is stored; of tied ones, the one that is."""
    prefix = "" if isinstance(model, ComposedTaskModel) else "backbone."
    stored = model.state_dict(keep_vars=True).keys()
    buffers = ((name, buffer) for name, buffer in model.named_buffers() if name in stored)
    return {prefix + name: tensor for name, tensor in (*model.named_parameters(), *buffers)}


def _parts(composition: Composition) -> tuple[object, ...]:
    """All that decides which tensors there are."""
    return (
        composition.config,
        composition.neck,
        composition.neck_config,
        composition.head,
        composition.head_config,
    )


def _ties(model: AnyModel) -> tuple[tuple[str, ...], ...]:
    return model.ties if isinstance(model, ComposedTaskModel) else ()


def _why_unused(name: str, wanted: Composition, stored: Composition) -> str:
    """Why a tensor of the checkpoint goes into no parameter."""
    if name.startswith("backbone."):
        return "what was asked for has no use for this part of the backbone"
    for prefix, part in (("neck.", "neck"), ("head.", "head")):
        entry = getattr(stored, part)
        if name.startswith(prefix) and getattr(wanted, part) is not entry:
            return f"it belongs to the {part} '{entry.spec.name}', which was not asked for"
    return "it is for other labels" if wanted.neck is stored.neck else "it was trained with another neck"
