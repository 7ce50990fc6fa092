"""A job that was interrupted is continued to the same bytes, and no other job is taken for it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from zoo.checkpoint import DirectoryTransaction, DType, TensorPlan, open_checkpoint, plan_shards, read_bytes
from zoo.checkpoint.file_transaction import FileTransaction, work_folder_of
from zoo.checkpoint.journal import Resumption, is_resumable
from zoo.errors import SaveError

TENSORS = {f"w{number}": bytes([65 + number]) * 10 for number in range(4)}
BINDING = {"source": {"x": [1, 2]}, "options": {"dtype": None}}


class Died(BaseException):
    """Stands for the end of the process."""


def job(
    target: Path,
    *,
    source: Callable[[str], bytes] = TENSORS.__getitem__,
    binding: Mapping[str, Any] = BINDING,
    resume: bool = False,
    force: bool = False,
    sync: bool = False,
    **options: Any,
) -> DirectoryTransaction:
    plan = plan_shards([TensorPlan(name, DType.U8, (10,)) for name in TENSORS], 10)
    with DirectoryTransaction(target, sync=sync, resumption=Resumption(binding, resume, force)) as output:
        output.write_tensors(plan, source, aliases={"other": "w1"}, **options)
        output.write_file("config.json", b"{}")
    return output


def file_job(
    target: Path, *, source: Callable[[str], bytes] = TENSORS.__getitem__, resume: bool = False, **options: Any
) -> FileTransaction:
    plan = plan_shards([TensorPlan(name, DType.U8, (10,)) for name in TENSORS])
    with FileTransaction(target, resumption=Resumption(BINDING, resume, False), **options) as output:
        output.write_tensors(plan, source, aliases={"other": "w1"})
        output.write_file(".sum", b"1")
    return output


def failing_at(name: str, error: type[BaseException] = KeyboardInterrupt) -> Callable[[str], bytes]:
    def source(asked: str) -> bytes:
        if asked == name:
            raise error
        return TENSORS[asked]

    return source


def contents(directory: Path) -> dict[str, bytes]:
    return {
        path.relative_to(directory).as_posix(): path.read_bytes() for path in directory.rglob("*") if path.is_file()
    }


@pytest.fixture
def undisturbed(tmp_path: Path) -> dict[str, bytes]:
    job(tmp_path / "undisturbed")
    return contents(tmp_path / "undisturbed")


@pytest.fixture
def interrupted(tmp_path: Path) -> Path:
    target = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        job(target, source=failing_at("w2"))
    return target


def test_what_was_complete_is_kept_and_not_written_again(interrupted: Path, undisturbed: dict[str, bytes]) -> None:
    assert [path.name for path in interrupted.iterdir()] == [".zoo-save"]
    assert is_resumable(interrupted / ".zoo-save")
    staged = interrupted / ".zoo-save" / "staged" / "files"
    before = {path.name: path.stat().st_ino for path in staged.iterdir()}
    output = job(interrupted, resume=True)
    assert contents(interrupted) == undisturbed
    assert output.reused == ("model-00001-of-00004.safetensors", "model-00002-of-00004.safetensors")
    assert all((interrupted / name).stat().st_ino == before[name] for name in output.reused)


def test_several_times(interrupted: Path, undisturbed: dict[str, bytes]) -> None:
    with pytest.raises(KeyboardInterrupt):
        job(interrupted, source=failing_at("w3"), resume=True)
    with pytest.raises(KeyboardInterrupt):
        job(interrupted, source=failing_at("w0"), resume=True)
    assert job(interrupted, source=failing_at("absent"), resume=True).reused
    assert contents(interrupted) == undisturbed


def test_neither_resumed_nor_thrown_away(interrupted: Path) -> None:
    before = contents(interrupted)
    with pytest.raises(SaveError) as raised:
        job(interrupted)
    for fact in (str(interrupted), "a job was interrupted here; 2 of its files are complete", "--resume", "--force"):
        assert fact in str(raised.value)
    assert contents(interrupted) == before


def test_thrown_away(interrupted: Path, undisturbed: dict[str, bytes]) -> None:
    assert job(interrupted, force=True).reused == ()
    assert contents(interrupted) == undisturbed


def test_there_is_nothing_to_resume(tmp_path: Path, undisturbed: dict[str, bytes]) -> None:
    assert job(tmp_path / "out", resume=True).reused == ()
    assert contents(tmp_path / "out") == undisturbed


def test_what_was_not_even_begun_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        job(tmp_path / "out", source=failing_at("w0"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("binding", "facts"),
    [
        ({"source": {"x": [1, 3]}, "options": {"dtype": None}}, ["source.x was [1, 2], is now [1, 3]"]),
        ({"source": {"y": [1, 2]}, "options": {"dtype": None}}, ["source.x was [1, 2], is now null", "source.y"]),
        ({"source": {"x": [1, 2]}, "options": {"dtype": "BF16"}}, ['options.dtype was null, is now "BF16"']),
    ],
)
def test_another_job_is_not_continued(interrupted: Path, binding: Mapping[str, Any], facts: list[str]) -> None:
    before = contents(interrupted)
    with pytest.raises(SaveError) as raised:
        job(interrupted, binding=binding, resume=True)
    for fact in ("another one", "--force", *facts):
        assert fact in str(raised.value)
    assert contents(interrupted) == before


@pytest.mark.parametrize("damage", ["content", "header", "short", "absent"])
def test_what_the_journal_calls_done_is_compared_again(
    interrupted: Path, undisturbed: dict[str, bytes], damage: str
) -> None:
    path = interrupted / ".zoo-save" / "staged" / "files" / "model-00001-of-00004.safetensors"
    content = path.read_bytes()
    damaged = {"content": content[:-1] + b"z", "header": content.replace(b'"pt"', b'"np"'), "short": content[:-1]}
    if damage == "absent":
        path.unlink()
    else:
        path.write_bytes(damaged[damage])
    assert job(interrupted, resume=True).reused == ("model-00002-of-00004.safetensors",)
    assert contents(interrupted) == undisturbed


@pytest.mark.parametrize("cut", [1, 20, 100_000])
def test_a_journal_whose_end_is_torn(interrupted: Path, undisturbed: dict[str, bytes], cut: int) -> None:
    journal = interrupted / ".zoo-save" / "journal"
    content = journal.read_bytes()
    journal.write_bytes(content[: -min(cut, len(content))])
    with pytest.raises(KeyboardInterrupt):
        job(interrupted, source=failing_at("w3"), resume=True)
    job(interrupted, resume=True)
    assert contents(interrupted) == undisturbed


def test_a_save_without_a_journal_throws_it_away(interrupted: Path) -> None:
    """`zoo.save` makes the directory hold the model that it was given, whatever was going on there."""
    with DirectoryTransaction(interrupted, sync=False) as output:
        output.write_tensors(plan_shards([TensorPlan("a", DType.U8, (1,))]), lambda name: b"a")
    assert contents(interrupted).keys() == {"model.safetensors"}


def test_permission_to_replace_lasts(interrupted: Path, tmp_path: Path) -> None:
    """Who continues a job that was to replace what is there need not say so again."""
    with DirectoryTransaction(interrupted, resumption=Resumption(BINDING, resume=True)) as output:
        assert not output.may_replace
    target = tmp_path / "forced"
    with pytest.raises(KeyboardInterrupt):
        job(target, source=failing_at("w2"), force=True)
    with DirectoryTransaction(target, resumption=Resumption(BINDING, resume=True)) as output:
        assert output.may_replace


class Calls:
    """The calls to the system that order matters for, with what they are about; dying at one of them."""

    def __init__(self, patch: pytest.MonkeyPatch, dying_at: int | None = None) -> None:
        self.log: list[str] = []
        self._dying_at = dying_at
        self._paths: dict[int, str] = {}
        for name in ("fsync", "open", "rename", "replace", "write", "mkdir", "unlink"):
            patch.setattr(os, name, self._wrapped(name, getattr(os, name)))

    def _wrapped(self, name: str, really: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            about = self._paths.get(arguments[0]) if name in ("fsync", "write") else Path(arguments[0]).name
            if name != "open":
                self.log.append(f"{name} {about}")
                if self._dying_at is not None and len(self.log) >= self._dying_at:
                    raise Died
            result = None if name == "fsync" else really(*arguments, **options)
            if name == "open":
                self._paths[result] = str(about)
            return result

        return call


def test_the_order_of_calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What survives a power cut depends on it: data, then journal, then names, the index last."""
    with monkeypatch.context() as patch:
        log = Calls(patch).log
        job(tmp_path / "out", sync=True)
    shards = [f"model-0000{number}-of-00004.safetensors" for number in range(1, 5)]
    index = "model.safetensors.index.json"
    for shard in shards:
        flushed = log.index(f"fsync {shard}")
        assert max(place for place, call in enumerate(log) if call == f"write {shard}") < flushed
        noted = log.index("write journal", flushed)
        assert log[noted + 1] == "fsync journal", "before the next file is begun"
    assert [call for call in log if call.startswith("fsync model-")] == [f"fsync {shard}" for shard in shards]
    commit = log.index("rename staged")
    assert commit > log.index(f"fsync {index}") > log.index("fsync model-00004-of-00004.safetensors")
    assert {"fsync files", "fsync staged", "fsync .zoo-save"} <= set(log[:commit])
    moved = [call for call in log[commit:] if call.startswith("replace")]
    assert moved[-1] == f"replace {index}"
    last = log.index(moved[-1])
    assert log[last - 1] == "fsync out", "the shards' names are on the disk before the index has its own"
    assert log[last + 1] == "fsync out"


@pytest.mark.parametrize("run", [job, file_job], ids=["directory", "file"])
def test_dying_at_each_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Callable[..., Any]) -> None:
    whole = tmp_path / "whole" / "y.safetensors"
    run(whole, sync=True)
    expected = contents(whole.parent)
    for number in range(1, 1000):
        target = tmp_path / str(number) / "y.safetensors"
        target.parent.mkdir()
        with monkeypatch.context() as patch, suppress(Died):
            log = Calls(patch, number).log
            run(target, sync=True)
        if len(log) < number:
            break
        for path in (*target.parent.glob("*.safetensors"), *target.glob("*.safetensors")):
            if path.is_file():
                assert path.read_bytes() == expected[path.relative_to(target.parent).as_posix()], log[-1]
        run(target, sync=True, resume=True)
        assert contents(target.parent) == expected, f"call {number}: {log[-1]}"
    else:
        pytest.fail("it never came to its end")
    assert number > 10


class TestSingleFile:
    def test_nothing_else_is_touched(self, tmp_path: Path) -> None:
        (tmp_path / "model.safetensors").write_bytes(b"another one")
        (tmp_path / "y.safetensors").write_bytes(b"an earlier one")
        target = tmp_path / "y.safetensors"
        with pytest.raises(KeyboardInterrupt):
            file_job(target, source=failing_at("w2"))
        assert {path.name for path in tmp_path.iterdir()} == {"model.safetensors", "y.safetensors"}
        assert target.read_bytes() == b"an earlier one"
        file_job(target)
        assert {path.name for path in tmp_path.iterdir()} == {"model.safetensors", "y.safetensors", "y.safetensors.sum"}
        checkpoint = open_checkpoint(target)
        assert {name: b"".join(map(bytes, read_bytes(record))) for name, record in checkpoint.items()} == TENSORS
        assert checkpoint.aliases == {"other": "w1"}

    def test_two_at_a_time(self, tmp_path: Path) -> None:
        """Each file has a folder to work in, so files of one directory can be written side by side."""
        one, other = FileTransaction(tmp_path / "a.safetensors"), FileTransaction(tmp_path / "b.safetensors")
        with one, other, pytest.raises(SaveError, match="is running"):
            FileTransaction(tmp_path / "a.safetensors").__enter__()

    def test_a_directory_in_its_place(self, tmp_path: Path) -> None:
        (tmp_path / "y.safetensors").mkdir()
        with pytest.raises(SaveError, match="is a directory"):
            file_job(tmp_path / "y.safetensors")

    def test_a_file_that_was_complete(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        target = tmp_path / "new" / "y.safetensors"

        def refuse(*arguments: Any) -> None:
            raise PermissionError(13, "Permission denied")

        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", refuse)
            with pytest.raises(SaveError, match="complete, but can't be given its name: Permission denied"):
                file_job(target)
        assert is_resumable(work_folder_of(target))
        with pytest.raises(SaveError, match="1 of its files is complete"):
            file_job(target)
        assert file_job(target, resume=True).reused == ("model.safetensors",)
        assert {path.name for path in target.parent.iterdir()} == {"y.safetensors", "y.safetensors.sum"}


class TestLinks:
    """Someone else's links in what was left lead nothing outside."""

    @pytest.fixture
    def victim(self, tmp_path: Path) -> Any:
        victim = tmp_path / "victim"
        (victim / "files").mkdir(parents=True)
        (victim / "files" / "precious").write_text("precious")
        before = contents(victim)
        yield victim
        assert contents(victim) == before

    @pytest.mark.parametrize("part", ["staged", "staged/files"])
    def test_to_another_folder(self, interrupted: Path, undisturbed: dict[str, bytes], victim: Path, part: str) -> None:
        folder = interrupted / ".zoo-save" / part
        folder.rename(interrupted.parent / "away")
        folder.symlink_to(victim if part == "staged" else victim / "files")
        job(interrupted, resume=True)
        assert contents(interrupted) == undisturbed

    def test_to_a_file_that_is_complete(self, interrupted: Path, undisturbed: dict[str, bytes]) -> None:
        name = "model-00001-of-00004.safetensors"
        file = interrupted / ".zoo-save" / "staged" / "files" / name
        file.rename(interrupted.parent / "elsewhere")
        file.symlink_to(interrupted.parent / "elsewhere")
        job(interrupted, resume=True)
        assert contents(interrupted) == undisturbed
        assert not (interrupted / name).is_symlink()

    def test_to_another_journal(self, interrupted: Path, tmp_path: Path) -> None:
        journal = interrupted / ".zoo-save" / "journal"
        content = journal.read_bytes() + b"cut off"
        (tmp_path / "elsewhere").write_bytes(content)
        journal.unlink()
        journal.symlink_to(tmp_path / "elsewhere")
        with pytest.raises(SaveError, match="journal is a symbolic link"):
            job(interrupted, resume=True)
        assert (tmp_path / "elsewhere").read_bytes() == content
        assert not is_resumable(interrupted / ".zoo-save")
