"""Checks of a key map: every name of the model has one place on disk, and every place one name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from zoo.errors import ZooError
from zoo.interfaces.model import Model
from zoo.interfaces.task_model import ComposedTaskModel
from zoo.testing.failing import fail, some
from zoo.weights.key_map import KeyMap, Match

__all__ = ["canonical", "check_bijection", "check_claims"]


def canonical(model: Model | ComposedTaskModel) -> dict[str, Tensor]:
    """Canonical name -> tensor of what is stored; of tied tensors the one that is."""
    prefix = "" if isinstance(model, ComposedTaskModel) else "backbone."
    ties = model.ties if isinstance(model, ComposedTaskModel) else ()
    tied = {name for group in ties for name in group[1:]}
    return {prefix + name: tensor for name, tensor in model.state_dict().items() if name not in tied}


def check_bijection(layout: str, key_map: KeyMap, tensors: Mapping[str, Tensor]) -> None:
    """match_model and then match_stored is the identity, and so is what they do to tensors.

    tensors: canonical name -> value.
    """
    matches, homeless = key_map.match_model(tensors)
    if homeless:
        fail(
            f"The layout '{layout}' has no place on disk for {some(homeless)}.",
            "Add a Rule for each to its key map.",
        )
    twice = _repeated(name for match in matches for name in match.stored)
    if twice:
        fail(
            f"The layout '{layout}' stores two tensors under one name: {some(twice)}.",
            "Give the two sides of each Rule the same variables, and each Rule names of its own.",
        )
    shared = _repeated(name for match in matches for name in match.model)
    absent = [name for match in matches for name in match.model if name not in tensors]
    if shared or absent:
        fail(
            f"The layout '{layout}': a Rule joins {some(shared or absent)}, which the model "
            f"{'has in another Rule, too' if shared else 'has not'}.",
            "Let every name of the model be in exactly one Rule.",
        )
    stored = [name for match in matches for name in match.stored]
    back, ignored, unclaimed = key_map.match_stored(stored)
    if ignored or unclaimed:
        fail(
            f"The layout '{layout}' writes names that it does not read: {some([*ignored, *unclaimed])}.",
            "Take what it ignores out of what it writes; what is only read belongs into `aliases`.",
        )
    if _sides(back) != _sides(matches):
        differing = sorted(_sides(back) ^ _sides(matches))
        fail(
            f"The layout '{layout}' reads {some(differing)} otherwise than it writes it.",
            "Let one Rule claim it in both directions.",
        )
    for match in matches:
        _check_operation(layout, match, [tensors[name] for name in match.model])


def check_claims(layout: str, key_map: KeyMap, names: Iterable[str]) -> None:
    """Real stored names are read, each as one thing."""
    matches, _, unclaimed = key_map.match_stored(names)
    if unclaimed:
        fail(
            f"The layout '{layout}' does not know {len(unclaimed)} real names: {some(unclaimed)}.",
            "Add a Rule for each, or an Ignore with the reason.",
        )
    twice = _repeated(name for match in matches for name in match.model)
    if twice:
        fail(f"The layout '{layout}' reads two real names as {some(twice)}.", "Correct the templates of these Rules.")


def _check_operation(layout: str, match: Match, tensors: list[Tensor]) -> None:
    place = f"The layout '{layout}', {', '.join(match.stored)}"
    try:
        stored = match.operation.save(tensors)
        back = match.operation.load(stored)
        on_meta = match.operation.save([tensor.to("meta") for tensor in tensors])
    except (RuntimeError, ValueError, ZooError) as error:
        fail(f"{place}: {type(error).__name__}: {str(error).splitlines()[0]}", "Mend the operation of this Rule.")
    if len(stored) != len(match.stored):
        fail(f"{place}: the operation makes {len(stored)} tensors.", "Make one for each stored template.")
    if len(back) != len(tensors) or not all(
        ours.shape == theirs.shape and ours.dtype == theirs.dtype and torch.equal(ours, theirs)
        for ours, theirs in zip(back, tensors, strict=True)
    ):
        fail(
            f"{place}: what the operation saves, it does not load as it was.",
            "Make `load` the exact inverse of `save`.",
        )
    if [tensor.shape for tensor in on_meta] != [tensor.shape for tensor in stored]:
        fail(f"{place}: on the meta device the operation makes other shapes.", "Use nothing but operations of torch.")


def _sides(matches: Iterable[Match]) -> set[tuple[tuple[str, ...], tuple[str, ...]]]:
    return {(match.stored, match.model) for match in matches}


def _repeated(names: Iterable[str]) -> list[str]:
    return [name for name, count in Counter(names).items() if count > 1]
