"""One checkpoint in, one out: what migrate, shard and merge share."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import zoo
from zoo.checkpoint import Checkpoint, ShardPlan, open_checkpoint, parse_size, plan_shards
from zoo.checkpoint.aliases import DERIVED_KEYS, aliases_of
from zoo.checkpoint.collector import collector_paused
from zoo.checkpoint.compare import compare_written, same_contents
from zoo.checkpoint.describe import listed, quoted, shown_path
from zoo.checkpoint.digest import header_digest
from zoo.checkpoint.dtype_cast import target_dtype
from zoo.checkpoint.file_transaction import FileTransaction
from zoo.checkpoint.journal import Resumption
from zoo.checkpoint.output import saving_errors
from zoo.checkpoint.parallel import default_jobs
from zoo.checkpoint.plan import INDEX_NAME, SINGLE_NAME
from zoo.checkpoint.publish import is_weights
from zoo.checkpoint.safetensors import FORMAT_NAME
from zoo.checkpoint.select import select_tensors
from zoo.checkpoint.transaction import DirectoryTransaction
from zoo.checkpoint.writer import HUB_METADATA, safetensors_header
from zoo.errors import CheckpointError, SaveError, UnsupportedFeature
from zoo_tools.manifest import MANIFEST_NAME, Manifest, make_manifest
from zoo_tools.manifest_check import is_manifest
from zoo_tools.migrate_report import MigrateReport, WrittenFile
from zoo_tools.options import Options
from zoo_tools.side_files import SideFiles, find_side_files
from zoo_tools.tensor_choice import choose_tensors

__all__ = ["convert"]

_SUFFIX = ".safetensors"


def convert(source: str | os.PathLike[str], target: str | os.PathLike[str], options: Options) -> MigrateReport:
    """Write the tensors of a checkpoint as safetensors; see `zoo_tools.migrate`."""
    with collector_paused():
        return _Conversion(Path(source), Path(target), options).run()


class _Conversion:
    """All that is known before the first byte is written, and then the writing."""

    def __init__(self, source: Path, target: Path, options: Options) -> None:
        self.source = source
        self.target = target
        self.options = options
        self.jobs = default_jobs() if options.jobs is None else options.jobs
        if self.jobs < 1:
            raise SaveError(f"jobs is {options.jobs}; expected at least 1.")
        dtype = None if options.dtype is None else target_dtype(options.dtype)
        opened = open_checkpoint(source)
        self.stamps = _stamps(opened)
        self.opened = opened
        self.checkpoint = select_tensors(opened, options.select)
        self._refuse_unsupported()
        self.metadata = _carried(self.checkpoint)
        self.choice = choose_tensors(
            self.checkpoint,
            rename=options.rename,
            drop=options.drop,
            keep=options.keep,
            dtype=dtype,
            taken=self.metadata,
        )
        self.is_file = target.name.endswith(_SUFFIX) and not os.path.isdir(target)
        if not self.is_file and os.path.lexists(target) and not os.path.isdir(target):
            dangling = os.path.islink(target) and not os.path.exists(target)
            raise SaveError(
                f"{shown_path(target)} is {'a symbolic link that leads nowhere' if dangling else 'a file'}; "
                f"expected a directory, or the name of a file that ends in {_SUFFIX}."
            )
        limit = None if self.is_file or options.max_shard_size is None else parse_size(options.max_shard_size)
        self.plan = plan_shards(self.choice.plans, limit)
        self.lost = _false_aliases(self.metadata, self.plan)
        self.metadata = {key: value for key, value in self.metadata.items() if key not in self.lost}
        self.beside = self._side_files()
        self._refuse_source_as_target()

    def run(self) -> MigrateReport:
        if self.options.dry_run:
            self._refuse_existing()
            return self._report(dry_run=True)
        resumption = Resumption(self._binding(), self.options.resume, self.options.force)
        transaction = FileTransaction if self.is_file else DirectoryTransaction
        with transaction(self.target, sync=self.options.sync, resumption=resumption) as output:
            if self.options.resume and self._is_there():
                return self._report(resumed=True, reused={file.name for file in self.plan.files}, verified=True)
            if not output.may_replace:
                self._refuse_existing()
            self._copy_beside(output)
            tell = _Counter(self.plan.total_size * (2 if self.options.verify else 1), self.options.progress)
            output.write_tensors(
                self.plan,
                self.choice.source,
                metadata=self.metadata,
                aliases=self.choice.aliases,
                verify=self.options.verify,
                jobs=self.jobs,
                progress=tell,
            )
            manifest = self._write_manifest(output)
            _refuse_changes(self.stamps)
        return self._report(
            resumed=bool(output.reused), reused=set(output.reused), verified=self.options.verify, manifest=manifest
        )

    def _copy_beside(self, output: FileTransaction | DirectoryTransaction) -> None:
        """They come first: a name that the target can't have is better told before the long work than after it."""
        if isinstance(output, DirectoryTransaction):
            for name, content in self.beside.copied.items():
                output.write_file(name, content)

    def _write_manifest(self, output: FileTransaction | DirectoryTransaction) -> Manifest | None:
        if not self.options.manifest:
            return None
        names = {name: output.staged(name) for name in self._tensor_files()}
        if isinstance(output, FileTransaction):
            manifest = make_manifest({self.target.name: output.staged(SINGLE_NAME)}, {}, self.choice.aliases, self.jobs)
            output.write_file("." + MANIFEST_NAME, manifest.to_json())
        else:
            others = {name: output.staged(name) for name in self.beside.copied}
            manifest = make_manifest(names, others, self.choice.aliases, self.jobs)
            output.write_file(MANIFEST_NAME, manifest.to_json())
        return manifest

    def _tensor_files(self) -> list[str]:
        return [file.name for file in self.plan.files] + ([INDEX_NAME] if len(self.plan.files) > 1 else [])

    def _side_files(self) -> SideFiles:
        if self.is_file or not os.path.isdir(self.source):
            return SideFiles()
        found = find_side_files(self.source, tensors=self.opened.files, but=(self.target,))
        if MANIFEST_NAME in found.copied and (self.options.manifest or is_manifest(self.source / MANIFEST_NAME)):
            del found.copied[MANIFEST_NAME]
            found.left_out[MANIFEST_NAME] = "it is about the files of the source"
        return found

    def _refuse_unsupported(self) -> None:
        unsupported = self.checkpoint.unsupported
        if unsupported and not self.options.skip_unsupported:
            reasons = listed(f"{quoted(name)} ({why})" for name, why in unsupported.items())
            raise UnsupportedFeature(
                f"{shown_path(self.source)}: {len(unsupported)} of its tensors can't be read: {reasons}.",
                hint="Write the others alone with --skip-unsupported (skip_unsupported=True).",
            )
        if not self.checkpoint:
            raise CheckpointError(f"{shown_path(self.source)} holds no tensor.")

    def _refuse_source_as_target(self) -> None:
        if os.path.realpath(self.source) == os.path.realpath(self.target):
            raise SaveError(f"{shown_path(self.target)} is the source itself; the source is never written to.")
        opened = self.opened.files if os.path.isdir(self.source) else (self.source, *self.opened.files)
        sources = {place for path in opened for place in _places(path)}
        # A link in the target's place is replaced; what it leads to is not written to.
        for path in self._written_paths():
            if _place(path) in sources:
                raise SaveError(f"{shown_path(path)} is a file of the source; the source is never written to.")
        if self.is_file:
            return
        folder = os.path.realpath(self.target)
        for place in sorted(sources):
            if os.path.dirname(place) == folder and is_weights(os.path.basename(place)):
                raise SaveError(
                    f"{shown_path(Path(place))} is a file of the source, and a directory holds the weights of one "
                    "checkpoint alone: the new ones would replace it. The source is never touched.",
                    hint="Write into another directory.",
                )

    def _written_paths(self) -> list[Path]:
        if self.is_file:
            return [self.target]
        extra = [MANIFEST_NAME] if self.options.manifest else []
        return [self.target / name for name in (*self._tensor_files(), *self.beside.copied, *extra)]

    def _refuse_existing(self) -> None:
        if self.options.force:
            return
        present = {path for path in self._written_paths() if os.path.lexists(path)}
        if not self.is_file and os.path.isdir(self.target):
            present.update(self.target / name for name in os.listdir(self.target) if is_weights(name))
        if present:
            names = sorted(shown_path(path) for path in present)
            raise SaveError(
                f"{listed(names, 5)}: exists already.",
                hint="Write elsewhere, or replace it with --force (force=True).",
            )

    def _is_there(self) -> bool:
        with saving_errors(f"{shown_path(self.target)}: what an earlier run wrote can't be read"):
            return self._is_complete()

    def _is_complete(self) -> bool:
        """Whether an earlier run of this very job has put all of it in place, and died only after that."""
        if not all(os.path.isfile(path) for path in self._written_paths()):
            return False
        metadata = self.metadata
        index = self.plan.index_with(self.choice.aliases)
        if index is None:
            metadata = {**metadata, **self.choice.aliases}
        elif (self.target / INDEX_NAME).read_bytes() != index:
            return False
        try:
            for file in self.plan.files:
                path = self.target if self.is_file else self.target / file.name
                compare_written(path, file, self.choice.source, metadata=metadata, jobs=self.jobs)
        except CheckpointError:
            return False
        return all(same_contents(data.path, self.target / name) for name, data in self.beside.copied.items())

    def _binding(self) -> Mapping[str, Any]:
        options = self.options
        return {
            "zoo": zoo.__version__,
            "source": {os.path.abspath(path): [size, modified] for path, (size, modified, _) in self.stamps.items()},
            "header": header_digest(self.checkpoint),
            "options": {
                "max_shard_size": None if options.max_shard_size is None else parse_size(options.max_shard_size),
                "dtype": None if options.dtype is None else target_dtype(options.dtype).name,
                "rename": options.rename,
                "drop": options.drop,
                "keep": options.keep,
                "select": options.select,
                "skip_unsupported": options.skip_unsupported,
            },
        }

    def _warnings(self) -> list[str]:
        limit = self.options.max_shard_size
        warnings = list(self.checkpoint.warnings)
        warnings += [f"no tensor matches {quoted(rule)}" for rule in self.choice.unmatched]
        if self.lost:
            entries = listed((f"{quoted(key)}: {quoted(value)}" for key, value in self.lost.items()), 5)
            warnings.append(f"left out of the metadata, where they would say that tensors are tied: {entries}")
        if self.is_file and limit is not None and self.plan.total_size > parse_size(limit):
            warnings.append(f"one file was asked for, so it is larger than {limit}")
        if self.choice.cast and "config.json" in self.beside.copied:
            warnings.append("config.json is copied as it is; what it says of the type of the weights no longer holds")
        return warnings

    def _report(
        self,
        *,
        reused: set[str] | None = None,
        resumed: bool = False,
        verified: bool = False,
        dry_run: bool = False,
        manifest: Manifest | None = None,
    ) -> MigrateReport:
        selection = self.checkpoint.selection
        index = self.plan.index_with(self.choice.aliases)
        metadata = {**self.metadata, **(self.choice.aliases if index is None else {})}
        sums = manifest.files if manifest is not None else {}
        files = []
        for file in self.plan.files:
            name = self.target.name if self.is_file else file.name
            size = len(safetensors_header(file, metadata)) + file.data_bytes
            sha256 = sums[name].sha256 if name in sums else None
            files.append(WrittenFile(name, size, len(file.tensors), file.name in (reused or ()), sha256))
        return MigrateReport(
            source=self.source,
            target=self.target,
            format=self.checkpoint.format,
            selection=selection.path if selection is not None else None,
            selection_reason=selection.reason if selection is not None else "",
            not_selected=selection.left_out if selection is not None else (),
            tensors=len(self.choice.tensors),
            bytes=self.plan.total_size,
            ties=self.choice.aliases,
            cast=self.choice.cast,
            decoded=self.choice.decoded,
            dropped=self.choice.dropped,
            renamed=self.choice.renamed,
            unsupported=self.checkpoint.unsupported,
            files=tuple(files),
            copied=tuple(self.beside.copied),
            left_out=self.beside.left_out,
            skipped=self.beside.skipped,
            warnings=tuple(self._warnings()),
            verified=verified,
            synced=self.options.sync and not dry_run,
            resumed=resumed,
            dry_run=dry_run,
            content_sha256=manifest.content_sha256 if manifest is not None else None,
        )


class _Counter:
    """From increments to what a progress display wants."""

    def __init__(self, total: int, tell: Callable[[int, int], None] | None) -> None:
        self._total = total
        self._tell = tell
        self._done = 0

    def __call__(self, count: int) -> None:
        self._done = min(self._done + count, self._total)
        if self._tell is not None:
            self._tell(self._done, self._total)


def _carried(checkpoint: Checkpoint) -> dict[str, str]:
    """The `__metadata__` of the source, where it has that; of other formats the metadata mean something else."""
    if checkpoint.format != FORMAT_NAME:
        return dict(HUB_METADATA)
    texts = {
        key: value
        for key, value in checkpoint.metadata.items()
        if isinstance(value, str) and key not in checkpoint.aliases and key not in DERIVED_KEYS
    }
    return {**HUB_METADATA, **texts}


def _false_aliases(metadata: Mapping[str, str], plan: ShardPlan) -> dict[str, str]:
    """Entries of the metadata that beside the new names would say that one is another name of a tensor.

    Each file has all of them, so each is looked at by itself.
    """
    found: dict[str, str] = {}
    for file in plan.files:
        found.update(aliases_of(metadata, {placed.tensor.name for placed in file.tensors}))
    return found


def _place(path: Path) -> str:
    """Where a file is, or a link in its place: not where that leads."""
    return os.path.join(os.path.realpath(path.parent), path.name)


def _places(path: Path) -> list[str]:
    """Where a file is, and all that leads to it from here."""
    places = [_place(path), os.path.realpath(path)]
    while os.path.islink(path):
        path = path.parent / os.readlink(path)
        places.append(_place(path))
    return places


def _stamps(checkpoint: Checkpoint) -> dict[Path, tuple[int, int, int]]:
    stamps = {}
    for path in checkpoint.files:
        status = os.stat(path)
        stamps[path] = (status.st_size, status.st_mtime_ns, status.st_ino)
    return stamps


def _refuse_changes(stamps: Mapping[Path, tuple[int, int, int]]) -> None:
    for path, stamp in stamps.items():
        status = os.stat(path)
        if (status.st_size, status.st_mtime_ns, status.st_ino) != stamp:
            raise CheckpointError(
                f"{shown_path(path)} was changed by something else while it was read.",
                hint="Do it again when nothing writes to the source.",
            )
