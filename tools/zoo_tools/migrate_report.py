"""What a migration, a shard or a merge did, as data and in plain words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any

from zoo.checkpoint.describe import listed, quoted
from zoo.checkpoint.sizes import format_size

__all__ = ["MigrateReport", "TreeItem", "TreeReport", "WrittenFile"]


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """A file of tensors. name: relative to the target, or that of the target. bytes: of the whole file.

    reused: an interrupted run had completed it; it was compared with the source again. sha256: with a manifest.
    """

    name: str
    bytes: int
    tensors: int
    reused: bool = False
    sha256: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrateReport:
    """What was done, or with `dry_run` what would be.

    source, target: paths. format: of the source. selection: the sub-tree that was taken, "" for all, None where formats
    hold nothing else; selection_reason: why; not_selected: the sub-trees that are no part of a model.
    tensors, bytes: stored once each, without headers. ties: other name -> the name under which the tensor is stored.
    cast, decoded: how many tensors were changed so, e.g. {"F32 -> BF16": 12}. dropped, renamed: by the rules.
    unsupported: tensors that can't be read and were skipped -> why. copied: files beside the tensors.
    left_out, skipped: those that were not copied -> why. warnings: in words.
    verified: every element was read again and compared. resumed: an interrupted run was continued.
    content_sha256: with a manifest (see `zoo.checkpoint.digest.content_digest`).
    """

    source: Path
    target: Path
    format: str
    selection: str | None = None
    selection_reason: str = ""
    not_selected: tuple[str, ...] = ()
    tensors: int = 0
    bytes: int = 0
    ties: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    cast: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    decoded: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    dropped: tuple[str, ...] = ()
    renamed: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    unsupported: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    files: tuple[WrittenFile, ...] = ()
    copied: tuple[str, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    skipped: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    warnings: tuple[str, ...] = ()
    verified: bool = False
    synced: bool = False
    resumed: bool = False
    dry_run: bool = False
    content_sha256: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The same with what JSON is made of, and the summary in words."""
        return {**_values(self), "summary": list(self.sentences)}

    @property
    def sentences(self) -> tuple[str, ...]:
        """What was done, in words, most important first."""
        return tuple(_sentences(self))


@dataclass(frozen=True, slots=True)
class TreeItem:
    """What became of one checkpoint of a tree. Either report or error is None."""

    source: Path
    target: Path
    report: MigrateReport | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class TreeReport:
    """What became of each checkpoint of a tree, in the order of their paths."""

    source: Path
    target: Path
    items: tuple[TreeItem, ...]

    @property
    def failed(self) -> tuple[TreeItem, ...]:
        """Those that could not be migrated."""
        return tuple(item for item in self.items if item.error is not None)

    def to_json(self) -> dict[str, Any]:
        """The same with what JSON is made of."""
        return _values(self)


def _values(report: Any) -> dict[str, Any]:
    return {entry.name: _plain(getattr(report, entry.name)) for entry in fields(report)}


def _plain(value: Any) -> Any:
    if isinstance(value, MigrateReport):
        return value.to_json()
    if isinstance(value, WrittenFile | TreeItem):
        return _values(value)
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def _sentences(report: MigrateReport) -> list[str]:
    would = "would be " if report.dry_run else ""
    lines = [
        f"{report.source} ({report.format}): {_count(report.tensors, 'tensor')} of {format_size(report.bytes)} "
        f"{would}written to {report.target}, in {_count(len(report.files), 'file')}."
    ]
    if report.selection:
        lines.append(f"Taken was {quoted(report.selection)}: {report.selection_reason}.")
    if report.not_selected:
        lines.append(f"Not taken, being no part of a model: {listed(map(quoted, report.not_selected), 5)}.")
    if report.ties:
        pairs = (f"{quoted(other)} is {quoted(kept)}" for other, kept in report.ties.items())
        lines.append(f"Tied tensors {would}stored once: {listed(pairs, 5)}.")
    if report.cast:
        changes = (f"{_count(count, 'tensor')} {change}" for change, count in report.cast.items())
        lines.append(f"Rounded to nearest, ties to even: {listed(changes)}.")
    if report.decoded:
        changes = (f"{_count(count, 'tensor')} {change}" for change, count in report.decoded.items())
        lines.append(f"Decoded, which can't be undone: {listed(changes)}.")
    if report.renamed:
        pairs = (f"{quoted(old)} -> {quoted(new)}" for old, new in report.renamed.items())
        lines.append(f"Renamed {_count(len(report.renamed), 'tensor')}: {listed(pairs, 3)}.")
    if report.dropped:
        lines.append(f"Dropped {_count(len(report.dropped), 'tensor')}: {listed(map(quoted, report.dropped), 5)}.")
    if report.unsupported:
        reasons = (f"{quoted(name)} ({why})" for name, why in report.unsupported.items())
        lines.append(f"Skipped, since zoo can't read them: {listed(reasons, 5)}.")
    if report.copied:
        lines.append(f"Copied beside: {listed(map(quoted, report.copied), 8)}.")
    for what, names in (("Left out", report.left_out), ("Skipped", report.skipped)):
        if names:
            lines.append(f"{what}: {listed((f'{quoted(name)} ({why})' for name, why in names.items()), 8)}.")
    if _is_part_of_a_model(report):
        lines.append(
            f"config.json lies beside {report.source.name} and was not copied: to load the result as a model, migrate "
            f"the directory {quoted(str(report.source.parent))}."
        )
    lines += [f"Warning: {warning}" for warning in report.warnings]
    if report.resumed:
        reused = sum(file.reused for file in report.files)
        lines.append(
            f"Continued an interrupted run: {_count(reused, 'file')} of it {'was' if reused == 1 else 'were'} used."
        )
    if not report.dry_run:
        lines.append(
            "Read again and compared with the source: every element is the same."
            if report.verified
            else "Not compared with the source."
        )
        if not report.synced:
            lines.append("Not waited for the disk: a power cut in the next seconds may lose it.")
    return lines


def _is_part_of_a_model(report: MigrateReport) -> bool:
    """Whether one file of a model's directory was migrated, without what else a model is loaded from."""
    beside, target = report.source.parent / "config.json", report.target / "config.json"
    return report.source.is_file() and report.target.is_dir() and beside.is_file() and not target.exists()


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
