"""Gives a model that was built on the meta device its parameters, strictly: everything fits, or one error lists all
that does not.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from zoo.checkpoint import EncodedBytes, TensorRecord
from zoo.errors import UnsupportedFeature, WeightsMismatch
from zoo.weights.key_map import KeyMap, Match
from zoo.weights.mapped import MappedFiles, torch_dtype

__all__ = ["Assignment", "LoadReport", "assign_weights", "plan_assignment", "set_tensor"]

Progress = Callable[[int, int], None]
"""Called with the bytes done and the bytes in all."""


@dataclass(frozen=True, kw_only=True)
class LoadReport:
    """What happened to stored tensors that did not simply become parameters.

    ignored: name -> reason. duplicates: names stored beside the tensor they are tied to. decoded: encoding -> how many
    tensors were decoded from it. untrained: parameters that the checkpoint has no weights for and that were
    initialised.
    """

    ignored: Mapping[str, str]
    duplicates: tuple[str, ...]
    decoded: Mapping[str, int]
    untrained: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Assignment:
    """What becomes of every stored tensor, found from headers alone.

    duplicates: stored name -> the parameter that it must equal.
    """

    matches: tuple[Match, ...]
    duplicates: Mapping[str, str]
    ignored: Mapping[str, str]


def plan_assignment(
    targets: Mapping[str, Tensor],
    checkpoint: Mapping[str, TensorRecord],
    key_map: KeyMap,
    *,
    ties: Sequence[Sequence[str]] = (),
    unused: Mapping[str, str],
    untrained: Iterable[str] = (),
    location: str,
) -> Assignment:
    """Decide for every stored tensor and every parameter.

    targets: canonical parameter name -> a tensor of its shape (on the meta device). unused: canonical name -> why
    the model lacks it, or has it in another shape. untrained: targets that need no stored tensor. ties: of what is
    stored, whether or not the model has their other names.

    Raises WeightsMismatch listing everything that is missing, unexpected or mis-shaped.
    """
    matches, ignored, unexpected = key_map.match_stored(checkpoint)
    kept_of = {name: group[0] for group in ties for name in group[1:]}
    untrained = set(untrained)
    chosen: dict[str, Match] = {}
    duplicates: dict[str, str] = {}
    missing: list[str] = []
    mismatched: list[str] = []
    kept: list[Match] = []
    deferred: list[Match] = []
    for match in matches:
        reason = unused.get(match.model[0])
        if reason is not None:
            ignored.update(dict.fromkeys(match.stored, reason))
            continue
        if all(name in kept_of and (name not in targets or name in untrained) for name in match.model):
            deferred.append(match)
            continue
        if not all(name in targets for name in match.model):
            unexpected.extend(name for name in match.stored if name in checkpoint)
            continue
        absent = [name for name in match.stored if name not in checkpoint]
        if absent:
            missing.extend(absent)
            chosen.update(dict.fromkeys(match.model, match))
            continue
        twice = next((chosen[name] for name in match.model if name in chosen), None)
        if twice is not None:
            unexpected.extend(f"{name} (the same parameter as {twice.stored[0]})" for name in match.stored)
            continue
        chosen.update(dict.fromkeys(match.model, match))
        mismatched.extend(_mismatches(match, checkpoint, targets))
        kept.append(match)
    for match in deferred:
        names = tuple(kept_of[name] for name in match.model)
        if all(name in chosen for name in names):
            duplicates.update(zip(match.stored, names, strict=True))
        else:  # a file that stores a tied tensor under its other name only
            match = Match(match.stored, names, match.operation)
            chosen.update(dict.fromkeys(names, match))
            mismatched.extend(_mismatches(match, checkpoint, targets))
            kept.append(match)
    uncovered = [name for name in targets if name not in chosen and name not in untrained]
    expected, unmapped = key_map.match_model(uncovered)
    missing.extend(name for match in expected for name in match.stored)
    missing.extend(unmapped)
    if missing or unexpected or mismatched:
        raise _mismatch_error(location, missing, unexpected, mismatched)
    return Assignment(matches=tuple(kept), duplicates=duplicates, ignored=ignored)


def assign_weights(
    model: nn.Module,
    assignment: Assignment,
    checkpoint: Mapping[str, TensorRecord],
    *,
    prefix: str,
    dtype: torch.dtype | None,
    device: torch.device,
    progress: Progress | None = None,
) -> None:
    """Put the stored tensors into the model, one after the other, so that no more than one of them exists twice.

    prefix: of the canonical names, which the model's own names lack ("backbone." for a bare model). dtype: for
    floating-point tensors.
    """
    files = MappedFiles()
    compared = set(assignment.duplicates.values())
    sources: dict[str, Tensor] = {}
    shared = _sharing_bytes(checkpoint[name] for match in assignment.matches for name in match.stored)
    total = sum(checkpoint[name].nbytes for match in assignment.matches for name in match.stored)
    done = 0
    for match in assignment.matches:
        loaded = match.operation.load([files.tensor(checkpoint[name]) for name in match.stored])
        for name, tensor in zip(match.model, loaded, strict=True):
            if name in compared:
                sources[name] = tensor
            wanted = dtype if dtype is not None and tensor.is_floating_point() else tensor.dtype
            moved = tensor.to(device=device, dtype=wanted)
            if moved is tensor and not shared.isdisjoint(match.stored):
                moved = tensor.clone()
            set_tensor(model, name.removeprefix(prefix), moved)
        done += sum(checkpoint[name].nbytes for name in match.stored)
        if progress is not None:
            progress(done, total)
    originals = {name: match.stored for match in assignment.matches for name in match.model if name in compared}
    for stored, kept in assignment.duplicates.items():
        if all(checkpoint[name].data == checkpoint[stored].data for name in originals[kept]):
            continue  # the same bytes of the same file
        _compare_tied(checkpoint[stored], files.tensor(checkpoint[stored]), kept, sources[kept])


def _sharing_bytes(records: Iterable[TensorRecord]) -> set[str]:
    """The names of tensors that lie over bytes of one before them in the file, as views of one storage in a pickle may.

    Mapped as they are, parameters that nothing ties would change each other when they are trained.
    """
    spans = sorted((record.data.path, record.data.offset, record.data.nbytes, record.name) for record in records)
    sharing = set()
    path, end = None, 0
    for where, offset, nbytes, name in spans:
        if where == path and offset < end and nbytes:
            sharing.add(name)
        path, end = where, max(end, offset + nbytes) if where == path else offset + nbytes
    return sharing


def _compare_tied(record: TensorRecord, duplicate: Tensor, kept: str, source: Tensor) -> None:
    """Refuse a tensor that is stored beside the one that it is tied to, and differs in its bytes."""
    if duplicate.dtype != source.dtype:
        raise WeightsMismatch(
            f"{record.data.path}: tensor '{record.name}' is tied to '{kept}', but is stored as {duplicate.dtype} and "
            f"the other as {source.dtype}, so that nothing tells which of them is meant.",
            mismatched=(record.name,),
        )
    if not torch.equal(*(tensor.contiguous().view(-1).view(torch.uint8) for tensor in (duplicate, source))):
        raise WeightsMismatch(
            f"{record.data.path}: tensor '{record.name}' differs from the one that it is tied to, '{kept}'.",
            mismatched=(record.name,),
            hint='If they are meant to differ, set "tie_word_embeddings": false in config.json.',
        )


def set_tensor(model: nn.Module, name: str, tensor: Tensor) -> None:
    """Replace a parameter or buffer by its dotted name, keeping whether it is trained."""
    owner_name, _, leaf = name.rpartition(".")
    owner = model.get_submodule(owner_name)
    if leaf in owner._parameters:
        old = owner._parameters[leaf]
        requires_grad = (old is None or old.requires_grad) and tensor.is_floating_point()
        owner._parameters[leaf] = nn.Parameter(tensor, requires_grad=requires_grad)
    else:
        owner._buffers[leaf] = tensor


def decoded_encodings(assignment: Assignment, checkpoint: Mapping[str, TensorRecord]) -> dict[str, int]:
    """How many of the tensors are decoded, by encoding."""
    counts: dict[str, int] = {}
    for match in assignment.matches:
        for name in match.stored:
            data = checkpoint[name].data
            if isinstance(data, EncodedBytes):
                counts[data.encoding] = counts.get(data.encoding, 0) + 1
    return counts


def _mismatches(match: Match, checkpoint: Mapping[str, TensorRecord], targets: Mapping[str, Tensor]) -> list[str]:
    stored = []
    for name in match.stored:
        record = checkpoint[name]
        stored.append(torch.empty(record.shape, dtype=torch_dtype(record), device="meta"))
    shapes = ", ".join(f"'{name}' {list(checkpoint[name].shape)}" for name in match.stored)
    try:
        loaded = match.operation.load(stored)
    except RuntimeError as error:
        return [f"{shapes}: can't be turned into {', '.join(match.model)}: {error}"]
    problems = []
    for name, tensor in zip(match.model, loaded, strict=True):
        if tensor.shape != targets[name].shape:
            problems.append(f"{shapes}: the configuration makes it {list(targets[name].shape)}")
        elif tensor.is_floating_point() != targets[name].is_floating_point():
            raise UnsupportedFeature(
                f"{checkpoint[match.stored[0]].data.path}: tensor '{match.stored[0]}' is stored as {tensor.dtype}, "
                "but is a floating-point parameter; quantised weights of this kind are not read."
            )
    return problems


def _mismatch_error(
    location: str, missing: Sequence[str], unexpected: Sequence[str], mismatched: Sequence[str]
) -> WeightsMismatch:
    parts = [f"{location}: the tensors don't fit the configuration."]
    for title, names in (("missing", missing), ("unexpected", unexpected), ("wrong shape", mismatched)):
        if names:
            parts.append(f"{title} ({len(names)}):")
            parts.extend(f"  {line}" for line in _folded(names))
    return WeightsMismatch(
        "\n".join(parts),
        missing=tuple(missing),
        unexpected=tuple(unexpected),
        mismatched=tuple(mismatched),
        hint="Check that config.json belongs to these weights.",
    )


def _folded(names: Sequence[str]) -> list[str]:
    """The names, where several that differ only in the first number are one line:
    `layers.{0-29}.mlp.up_proj.weight`.
    """
    groups: dict[tuple[str, str], list[int]] = {}
    lines: list[str] = []
    for name in names:
        found = re.search(r"(?<=\.)\d+(?=\.)", name)
        if found is None:
            lines.append(name)
        else:
            groups.setdefault((name[: found.start()], name[found.end() :]), []).append(int(found[0]))
    for (before, after), numbers in groups.items():
        lines.append(f"{before}{_ranges(sorted(numbers))}{after}")
    return lines


def _ranges(numbers: list[int]) -> str:
    if len(numbers) == 1:
        return str(numbers[0])
    spans: list[list[int]] = []
    for number in numbers:
        if spans and number == spans[-1][1] + 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    return "{" + ",".join(str(a) if a == b else f"{a}-{b}" for a, b in spans) + "}"
