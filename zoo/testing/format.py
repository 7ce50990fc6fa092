"""The conformance of a checkpoint format: it reads what is right, and refuses what is not."""

from __future__ import annotations

import random
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from zoo.checkpoint import open_checkpoint, read_bytes
from zoo.checkpoint.records import Checkpoint
from zoo.errors import CheckpointError
from zoo.plugins.records import Entry
from zoo.registry import registry, resolve_object
from zoo.spec import FormatSpec
from zoo.testing.declaration import DeclarationChecks
from zoo.testing.failing import fail, some
from zoo.testing.fresh_process import HEAVY, in_fresh_process

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["FormatConformance"]

_OPENING = """
before = set(sys.modules)
from pathlib import Path
from zoo.registry import resolve_object
reference, path, heavy = arguments
checkpoint = resolve_object(reference)(Path(path))
dict(checkpoint), dict(checkpoint.metadata)
print(json.dumps(sorted({each.partition(".")[0] for each in set(sys.modules) - before} & set(heavy))))
"""


class FormatConformance(DeclarationChecks):
    """What a checkpoint format promises.

    format: its name. dtypes: the numpy types that it can hold. shapes: of the tensors that `make` is given. flips: how
    many damaged files are tried. A child defines `make`.
    """

    kind = "formats"

    format: ClassVar[str]
    dtypes: ClassVar[Sequence[str]] = ("float32", "float16")
    shapes: ClassVar[Sequence[tuple[int, ...]]] = ((3, 4), (5,), (2, 3, 4))
    flips: ClassVar[int] = 300

    def subject_name(self) -> str:
        return self.format

    def format_entry(self) -> Entry[FormatSpec]:
        """The format in the registry."""
        return registry().formats.get(self.format)

    def make(self, path: Path, tensors: Mapping[str, NDArray[Any]]) -> None:
        """Write a file of the format that holds these tensors; by another library than the one under test."""
        raise NotImplementedError(f"{type(self).__name__} defines make(self, path, tensors), which writes a file.")

    def tensors(self) -> dict[str, NDArray[Any]]:
        """The tensors that are written: one of each dtype and shape."""
        import numpy

        generator = numpy.random.default_rng(0)
        return {
            f"layers.{number}.{dtype}": (generator.standard_normal(shape) * 100).astype(dtype)
            for dtype in self.dtypes
            for number, shape in enumerate(self.shapes)
        }

    def test_opens_what_it_is_for(self, tmp_path: Path) -> None:
        """Names, types, shapes and bytes; found by the file itself."""
        path, tensors = self._made(tmp_path)
        checkpoint = open_checkpoint(path)
        if checkpoint.format != self.format_entry().spec.name:
            fail(
                f"The file is opened as '{checkpoint.format}'.",
                "Set `magic` and `suffixes` of the FormatSpec, and `format` of the Checkpoint to its name.",
            )
        if set(checkpoint) != set(tensors):
            lost = sorted(set(tensors) ^ set(checkpoint))
            fail(f"Names are lost or made up: {some(lost)}.", "Give every tensor under the name that is stored.")
        for name, array in tensors.items():
            record = checkpoint[name]
            expected = _dtype_name(str(array.dtype))
            if record.dtype.name != expected or record.shape != array.shape:
                fail(
                    f"'{name}' is read as {record.dtype.name} {record.shape}; it is {expected} {array.shape}.",
                    "Translate the format's types and the order of its dimensions.",
                )
            if b"".join(read_bytes(record)) != array.tobytes():
                fail(
                    f"'{name}' is read with other bytes than were stored.",
                    "Correct offset, strides or byte order of its record; elements are row-major and little-endian.",
                )

    def test_is_known_by_its_first_bytes(self, tmp_path: Path) -> None:
        """A format with a magic needs no suffix."""
        if not self.format_entry().spec.magics:
            return
        path, _ = self._made(tmp_path)
        renamed = tmp_path / "renamed"
        shutil.copyfile(path, renamed)
        found = open_checkpoint(renamed).format
        if found != self.format_entry().spec.name:
            fail(f"Without its suffix the file is taken for '{found}'.", "Correct `magic` and `magic_offset`.")

    def test_opening_imports_nothing_heavy(self, tmp_path: Path) -> None:
        """`zoo inspect` and `zoo migrate` work without torch."""
        path, _ = self._made(tmp_path)
        reference = self.format_entry().spec.open
        imported = in_fresh_process(
            _OPENING,
            reference,
            str(path),
            HEAVY,
            what=f"opening a '{self.format}' file",
            change=f"Look at {reference}.",
        )
        if imported:
            fail(
                f"Opening a '{self.format}' file imports {', '.join(imported)}.",
                "Read headers with `struct` and `json`; import what decodes tensors where it is used.",
            )

    def test_opening_reads_nothing_but_headers(self, tmp_path: Path) -> None:
        """All records lie inside of files of the checkpoint, where they are read when they are wanted."""
        path, _ = self._made(tmp_path)
        checkpoint = open_checkpoint(path)
        sizes = {file: file.stat().st_size for file in checkpoint.files}
        for record in checkpoint.values():
            end = record.data.offset + record.data.nbytes
            if record.data.path not in sizes or end > sizes[record.data.path]:
                fail(
                    f"'{record.name}' is said to lie at {record.data.offset}..{end} of {record.data.path}, where there "
                    "is nothing.",
                    "Check every offset and size against the file when it is opened.",
                )

    def test_truncated_files_are_refused(self, tmp_path: Path) -> None:
        """A download that broke off: at every sixteenth of the file."""
        path, tensors = self._made(tmp_path)
        content = path.read_bytes()
        damaged = path.with_name(f"truncated{path.suffix}")
        for part in range(16):
            damaged.write_bytes(content[: len(content) * part // 16])
            read = self._read(damaged, f"a file that ends after {part}/16 of its bytes")
            if read is not None and read != {name: array.tobytes() for name, array in tensors.items()}:
                fail(
                    f"A file that ends after {part}/16 of its bytes is read as a whole one.",
                    "Raise MalformedCheckpoint where a tensor or the header goes past the end of the file.",
                )

    def test_damaged_files_raise_checkpoint_errors_alone(self, tmp_path: Path) -> None:
        """Whatever the bytes: a checkpoint, or an error that says what is wrong with it."""
        path, _ = self._made(tmp_path)
        content = path.read_bytes()
        damaged = path.with_name(f"damaged{path.suffix}")
        generator = random.Random(0)
        header = min(len(content), 1024)
        for _ in range(self.flips):
            changed = bytearray(content)
            for _ in range(generator.randint(1, 3)):
                position = generator.randrange(generator.choice((header, len(changed))))
                changed[position] = generator.choice((0, 0xFF, 0x7F, 0x80, generator.randrange(256)))
            damaged.write_bytes(changed)
            self._read(damaged, "a damaged file")

    def _made(self, directory: Path) -> tuple[Path, dict[str, NDArray[Any]]]:
        spec = self.format_entry().spec
        path = directory / f"made{spec.suffixes[0] if spec.suffixes else ''}"
        tensors = self.tensors()
        self.make(path, tensors)
        return path, tensors

    def _read(self, path: Path, what: str) -> dict[str, bytes] | None:
        """The tensors of a file as bytes; None where it is refused as it should be."""
        opener = resolve_object(self.format_entry().spec.open)
        try:
            checkpoint: Checkpoint = opener(path)
            dict(checkpoint.metadata)
            return {name: b"".join(read_bytes(record)) for name, record in checkpoint.items()}
        except CheckpointError:
            return None
        except Exception as error:
            return fail(
                f"Reading {what} raises {type(error).__name__}: {error}",
                "Check every length, count, offset and text as it is read, and raise MalformedCheckpoint with the file "
                "and the offset.",
            )


def _dtype_name(numpy_name: str) -> str:
    """The element type's name as zoo has it."""
    if numpy_name == "bool":
        return "BOOL"
    kind = {"f": "F", "i": "I", "u": "U", "c": "C"}[numpy_name[0]]
    return kind + "".join(character for character in numpy_name if character.isdigit())
