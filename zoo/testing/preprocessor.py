"""The conformance of a preprocessor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

from zoo.checkpoint.files import MemoryFiles
from zoo.registry import resolve_object
from zoo.testing.declaration import DeclarationChecks
from zoo.testing.failing import fail, some

__all__ = ["PreprocessorConformance"]


class PreprocessorConformance(DeclarationChecks):
    """What a preprocessor promises.

    preprocessor: its name. files: name -> contents, as the Hub has them; or a directory that holds them. hub_config:
    the contents of the config.json beside them. A child defines `items`.
    """

    kind = "preprocessors"

    preprocessor: ClassVar[str]
    files: ClassVar[Mapping[str, bytes] | Path]
    hub_config: ClassVar[Mapping[str, Any]] = MappingProxyType({})

    def subject_name(self) -> str:
        return self.preprocessor

    def items(self) -> Sequence[Any]:
        """Raw items, two or more, as users have them; the same in every call."""
        raise NotImplementedError(f"{type(self).__name__} defines items(self): two raw items or more, as users have.")

    def contents(self) -> dict[str, bytes]:
        """The files by their names."""
        if isinstance(self.files, Path):
            return {path.name: path.read_bytes() for path in sorted(self.files.iterdir()) if path.is_file()}
        return dict(self.files)

    def built(self, contents: Mapping[str, bytes] | None = None) -> Any:
        """The preprocessor of the files, or of others."""
        given = self.contents() if contents is None else contents
        found = resolve_object(self.entry().spec.preprocessor).from_files(
            MemoryFiles("(files of the test)", given), self.hub_config
        )
        if found is None:
            fail(
                f"'{self.preprocessor}' finds none of its files among {', '.join(given) or 'none'}.",
                "Put into `files` what it reads; or let from_files read it.",
            )
        return found

    def test_without_files_there_is_none(self) -> None:
        """A checkpoint without its files loads all the same."""
        found = resolve_object(self.entry().spec.preprocessor).from_files(
            MemoryFiles("(no files)", {}), self.hub_config
        )
        if found is not None:
            fail(f"Of no files '{self.preprocessor}' makes {found!r}.", "Return None where its files are not there.")

    def test_files_round_trip(self) -> None:
        """What is saved beside a model is what was loaded, byte for byte."""
        given = self.contents()
        written = self.built().files()
        odd = [name for name, content in written.items() if not isinstance(content, bytes)]
        if odd or not written:
            fail(f"files() gives {some(odd) or 'nothing'} not as bytes.", "Return name -> bytes.")
        changed = [name for name, content in written.items() if name in given and content != given[name]]
        if changed:
            fail(
                f"files() gives {some(changed)} otherwise than it was read.",
                "Keep the bytes that were read, and write a file anew only where a setting has changed.",
            )
        again = self.built(written).files()
        if again != written:
            differing = [name for name in {*again, *written} if again.get(name) != written.get(name)]
            fail(f"Read from its own files it writes {some(sorted(differing))} otherwise.", "Write all that it reads.")

    def test_written_files_mean_the_same(self) -> None:
        """A model that was saved gets the same inputs."""
        before = self._inputs(self.built())
        self._require_same(
            before,
            self._inputs(self.built(self.built().files())),
            "Read from the files that it writes, it gives other inputs",
            "Write every setting that it reads.",
        )

    def test_preprocessing_is_deterministic(self) -> None:
        """The same items give the same inputs, and are left as they were."""
        made = self.built()
        self._require_same(
            self._inputs(made), self._inputs(made), "The second call gives other inputs", "Keep no state between calls."
        )

    def test_collate_gives_batches_of_tensors(self) -> None:
        """Keyword arguments of a model's forward."""
        import torch

        items = self.items()
        made = self.built()
        prepared = made(items)
        if len(prepared) != len(items):
            fail(f"{len(items)} items give {len(prepared)} prepared ones.", "Return one for each, in their order.")
        inputs = made.collate(prepared)
        for name, value in inputs.items():
            if value is None:
                continue
            if not isinstance(value, torch.Tensor):
                fail(f"collate gives '{name}' as {type(value).__name__}.", "Return tensors.")
            if value.shape[:1] != (len(items),):
                fail(
                    f"collate gives '{name}' of {tuple(value.shape)} for {len(items)} items.",
                    "Make the batch the first dimension.",
                )
            if value.is_floating_point() and not value.isfinite().all():
                fail(f"collate gives '{name}' with values that are not finite.", "Look for a division by 0.")

    def _inputs(self, made: Any) -> dict[str, Any]:
        collated: dict[str, Any] = made.collate(made(self.items()))
        return {name: value for name, value in collated.items() if value is not None}

    def _require_same(self, first: Mapping[str, Any], second: Mapping[str, Any], problem: str, change: str) -> None:
        if first.keys() != second.keys():
            fail(f"{problem}: {', '.join(first)} or {', '.join(second)}.", change)
        differing = [
            name for name, value in first.items() if value.shape != second[name].shape or not value.equal(second[name])
        ]
        if differing:
            fail(f"{problem}: {some(differing)}.", change)
