from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from zoo.checkpoint import (
    DirectoryTransaction,
    DType,
    ShardPlan,
    TensorPlan,
    TensorSource,
    open_checkpoint,
    plan_shards,
    read_bytes,
)
from zoo.errors import MalformedCheckpoint, SaveError


def save(
    directory: Path,
    tensors: Mapping[str, bytes],
    files: Mapping[str, bytes] | None = None,
    *,
    limit: int | None = None,
    **options: Any,
) -> None:
    plan = plan_shards([TensorPlan(name, DType.U8, (len(content),)) for name, content in tensors.items()], limit)
    with DirectoryTransaction(directory, **options) as transaction:
        transaction.write_tensors(plan, lambda name: tensors[name])
        for name, content in (files or {}).items():
            transaction.write_file(name, content)


def save_tensors(directory: Path, plan: ShardPlan, source: TensorSource) -> None:
    with DirectoryTransaction(directory) as transaction:
        transaction.write_tensors(plan, source)


def load(directory: Path) -> dict[str, bytes]:
    return {name: b"".join(map(bytes, read_bytes(record))) for name, record in open_checkpoint(directory).items()}


def contents(directory: Path) -> dict[str, bytes]:
    return {
        path.relative_to(directory).as_posix(): path.read_bytes() for path in directory.rglob("*") if path.is_file()
    }


OLD = {"a": b"old a", "b": b"old b"}
NEW = {"a": b"new a", "c": b"new c"}


def test_a_new_directory(tmp_path: Path) -> None:
    target = tmp_path / "some" / "where"
    save(target, NEW, {"config.json": b"{}"})
    assert load(target) == NEW
    assert sorted(contents(target)) == ["config.json", "model.safetensors"]


def test_the_same_tensors_give_the_same_bytes(tmp_path: Path) -> None:
    tensors = {f"layers.{number}.w": bytes([number]) * number for number in range(20)}
    save(tmp_path / "one", tensors, limit=50)
    save(tmp_path / "two", dict(reversed(tensors.items())), limit=50, sync=False)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    assert len(contents(tmp_path / "one")) == 6


@pytest.mark.parametrize("new_limit", [None, 10, 5])
@pytest.mark.parametrize("old_limit", [None, 10, 5])
def test_a_save_over_another(tmp_path: Path, old_limit: int | None, new_limit: int | None) -> None:
    save(tmp_path, OLD, {"config.json": b"old"}, limit=old_limit)
    save(tmp_path, NEW, {"config.json": b"new"}, limit=new_limit)
    assert load(tmp_path) == NEW
    fresh = tmp_path / "fresh"
    save(fresh, NEW, {"config.json": b"new"}, limit=new_limit)
    shutil.rmtree(tmp_path / ".zoo-save", ignore_errors=True)
    assert contents(fresh) == {path.name: path.read_bytes() for path in tmp_path.iterdir() if path != fresh}


def test_what_no_save_wrote_stays(tmp_path: Path) -> None:
    others = ["README.md", "pytorch_model.bin", "consolidated.safetensors", "model-best.safetensors", "optimizer.pt"]
    for name in others:
        (tmp_path / name).write_text(name)
    (tmp_path / "model-00001-of-00007.safetensors").mkdir()
    save(tmp_path, OLD, limit=5)
    save(tmp_path, NEW)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        [*others, "model-00001-of-00007.safetensors", "model.safetensors"]
    )


def test_a_file_of_the_earlier_save_can_be_removed(tmp_path: Path) -> None:
    save(tmp_path, OLD, {"config.json": b"old", "chat_template.jinja": b"old"})
    with DirectoryTransaction(tmp_path) as transaction:
        transaction.remove_file("chat_template.jinja")
        transaction.remove_file("never_there.json")
        transaction.write_file("config.json", [b"n", b"ew"])
    assert load(tmp_path) == OLD, "tensors that are not written stay"
    assert sorted(contents(tmp_path)) == ["config.json", "model.safetensors"]
    assert contents(tmp_path)["config.json"] == b"new"


def test_a_save_can_read_from_what_it_replaces(tmp_path: Path) -> None:
    save(tmp_path, OLD, limit=5)
    checkpoint = open_checkpoint(tmp_path)
    plan = plan_shards(TensorPlan(record.name, record.dtype, record.shape) for record in checkpoint.values())
    save_tensors(tmp_path, plan, lambda name: read_bytes(checkpoint[name]))
    assert load(tmp_path) == OLD
    assert sorted(contents(tmp_path)) == ["model.safetensors"]


def test_unchanged_files_are_not_touched(tmp_path: Path) -> None:
    save(tmp_path, OLD, {"config.json": b"same", "tokenizer.json": b"old"})
    os.utime(tmp_path / "config.json", (1, 1))
    save(tmp_path, NEW, {"config.json": b"same", "tokenizer.json": b"new"})
    assert (tmp_path / "config.json").stat().st_mtime == 1
    assert contents(tmp_path)["tokenizer.json"] == b"new"


def test_a_link_is_replaced_and_what_it_leads_to_is_not(tmp_path: Path) -> None:
    """Saving into a snapshot of the Hub's cache must not change the blobs that other snapshots share."""
    blob = tmp_path / "blob"
    snapshot = tmp_path / "snapshot"
    save(snapshot, OLD)
    (snapshot / "model.safetensors").rename(blob)
    (snapshot / "model.safetensors").symlink_to(blob)
    before = blob.read_bytes()
    save(snapshot, NEW)
    assert load(snapshot) == NEW
    assert not (snapshot / "model.safetensors").is_symlink()
    assert blob.read_bytes() == before


def test_permissions_follow_the_umask(tmp_path: Path) -> None:
    target = tmp_path / "out"
    before = os.umask(0o027)
    try:
        save(target, NEW, {"config.json": b"{}"}, limit=5)
    finally:
        os.umask(before)
    assert target.stat().st_mode & 0o777 == 0o750
    assert {path.stat().st_mode & 0o777 for path in target.iterdir()} == {0o640}


class TestFailures:
    """Each leaves what was there, and nothing else."""

    @pytest.fixture
    def target(self, tmp_path: Path) -> Path:
        target = tmp_path / "out"
        save(target, OLD, {"config.json": b"old"}, limit=5)
        return target

    @pytest.fixture
    def nothing_changes(self, target: Path) -> Any:
        before = contents(target)
        yield
        assert contents(target) == before

    @pytest.mark.usefixtures("nothing_changes")
    @pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
    def test_an_exception_in_the_block(self, target: Path, error: type[BaseException]) -> None:
        plan = plan_shards([TensorPlan("a", DType.U8, (5,))])

        def fail_late() -> None:
            with DirectoryTransaction(target) as transaction:
                transaction.write_file("config.json", b"new")
                transaction.write_tensors(plan, lambda name: b"new a")
                raise error

        with pytest.raises(error):
            fail_late()

    @pytest.mark.usefixtures("nothing_changes")
    def test_a_source_that_gives_too_little(self, target: Path) -> None:
        plan = plan_shards([TensorPlan("a", DType.U8, (5,)), TensorPlan("b", DType.U8, (5,))])
        with pytest.raises(SaveError, match=r"'b'.*only 3"):
            save_tensors(target, plan, lambda name: b"12345" if name == "a" else b"123")

    @pytest.mark.usefixtures("nothing_changes")
    def test_a_disk_without_room(self, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=9))
        asked: list[str] = []

        def source(name: str) -> bytes:
            asked.append(name)
            return bytes(10**6)

        with pytest.raises(SaveError) as raised:
            save_tensors(target, plan_shards([TensorPlan("a", DType.U8, (10**6,))]), source)
        for fact in (str(target), "take 1.0 MB", "9 bytes free", "stays until", "Free 1000.0 kB"):
            assert fact in str(raised.value)
        assert asked == []

    @pytest.mark.usefixtures("nothing_changes")
    def test_a_disk_that_fills_up_midway(self, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        write = os.write
        left = 500_000

        def filling(descriptor: int, data: memoryview) -> int:
            nonlocal left
            if left <= 0:
                raise OSError(errno.ENOSPC, "No space left on device")
            count = write(descriptor, data[:left])
            left -= count
            return count

        monkeypatch.setattr(os, "write", filling)
        tensors = {f"w{number}": bytes(300_000) for number in range(5)}
        with pytest.raises(SaveError, match=r"model-00002-of-00005\.safetensors can't be written: No space") as raised:
            save(target, tensors, limit=300_000)
        assert "Free some space" in str(raised.value)
        monkeypatch.undo()

    @pytest.mark.usefixtures("nothing_changes")
    @pytest.mark.parametrize(
        "name",
        [
            "model.safetensors",
            "model.safetensors.index.json",
            "model-00001-of-00002.safetensors",
            "../x",
            "a/../b",
            ".zoo-save/x",
            "",
            ".",
            "/x",
            "x\0",
            ".zoo-save",
        ],
    )
    def test_names_that_files_beside_the_tensors_can_not_have(self, target: Path, name: str) -> None:
        with pytest.raises(SaveError, match="can't be the name of a file"), DirectoryTransaction(target) as transaction:
            transaction.write_file(name, b"x")
        with pytest.raises(SaveError, match="can't be the name of a file"), DirectoryTransaction(target) as transaction:
            transaction.remove_file(name)

    def test_a_file_in_a_folder(self, target: Path) -> None:
        with DirectoryTransaction(target / "inner") as transaction:
            transaction.write_file("templates/deep/tools.jinja", b"1")
        assert contents(target / "inner") == {"templates/deep/tools.jinja": b"1"}

    @pytest.mark.parametrize("name", ["c.txt", "templates/tools.jinja"])
    def test_a_removal_alone(self, target: Path, name: str) -> None:
        with DirectoryTransaction(target / "inner") as transaction:
            transaction.write_file(name, b"1")
            transaction.write_file("stays", b"2")
        with DirectoryTransaction(target / "inner") as transaction:
            transaction.remove_file(name)
        assert contents(target / "inner") == {"stays": b"2"}

    def test_a_file_in_a_folders_place(self, target: Path) -> None:
        (target / "templates").write_bytes(b"a file")
        with DirectoryTransaction(target) as transaction:
            with pytest.raises(SaveError, match=r"templates is a file, so that 'templates/deep/x' can't be written"):
                transaction.write_file("templates/deep/x", b"1")
            transaction.write_file("other", b"2")
        assert (target / "templates").read_bytes() == b"a file"

    def test_a_file_twice(self, target: Path) -> None:
        with DirectoryTransaction(target / "inner") as transaction:
            transaction.write_file("x", b"1")
            with pytest.raises(SaveError, match="'x' was written already"):
                transaction.write_file("x", b"2")
        assert contents(target / "inner") == {"x": b"1"}

    def test_tensors_twice(self, target: Path) -> None:
        with DirectoryTransaction(target) as transaction:
            transaction.write_tensors(plan_shards([]), lambda name: b"")
            with pytest.raises(SaveError, match="tensors of this save were written already"):
                transaction.write_tensors(plan_shards([]), lambda name: b"")
        assert load(target) == {}

    @pytest.mark.parametrize("remove", [False, True])
    def test_a_directory_in_a_files_place(self, target: Path, remove: bool) -> None:
        (target / "tokenizer.json").mkdir()
        with DirectoryTransaction(target) as transaction:
            change = transaction.remove_file if remove else partial(transaction.write_file, content=b"{}")
            with pytest.raises(SaveError, match=r"tokenizer\.json is a directory"):
                change("tokenizer.json")
        assert load(target) == OLD

    def test_a_directory_that_was_made_for_the_save_goes_with_it(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="boom"), DirectoryTransaction(tmp_path / "new" / "deep"):
            raise ValueError("boom")
        assert not (tmp_path / "new").exists()

    def test_a_file_in_the_directorys_place(self, tmp_path: Path) -> None:
        (tmp_path / "out").write_text("precious")
        with pytest.raises(SaveError, match="out can't be created"):
            save(tmp_path / "out", NEW)
        assert (tmp_path / "out").read_text() == "precious"

    @pytest.mark.usefixtures("nothing_changes")
    def test_a_directory_that_can_not_be_written(self, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def refusing(path: Path) -> None:
            raise PermissionError(errno.EACCES, "Permission denied")

        monkeypatch.setattr(os, "mkdir", refusing)
        with pytest.raises(SaveError, match=r"\.zoo-save can't be created: Permission denied"):
            save(target, NEW)

    def test_cleaning_up_that_fails_does_not_hide_the_error(
        self, target: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def failing(path: Any, **options: Any) -> None:
            raise OSError(errno.EIO, "Input/output error")

        def fail_twice() -> None:
            with DirectoryTransaction(target):
                monkeypatch.setattr(shutil, "rmtree", failing)
                raise ValueError("boom")

        with pytest.raises(ValueError, match="boom") as raised:
            fail_twice()
        assert "could not be removed" in raised.value.__notes__[0]
        monkeypatch.undo()
        assert load(target) == OLD
        save(target, NEW)
        assert load(target) == NEW
        assert sorted(contents(target)) == ["config.json", "model.safetensors"]


class TestOrder:
    """A killed process loses nothing that the system has taken, so durability shows in the order of calls alone."""

    @pytest.fixture
    def calls(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
        """The calls that matter: "fsync PATH", "rename FROM TO" and "unlink PATH", relative to tmp_path."""
        calls: list[str] = []
        paths: dict[int, str] = {}
        really = {name: getattr(os, name) for name in ("open", "fsync", "rename", "replace", "unlink")}

        def relative(path: Any) -> str:
            return os.path.relpath(os.fspath(path), tmp_path)

        def opening(path: Any, *arguments: Any, **options: Any) -> int:
            descriptor: int = really["open"](path, *arguments, **options)
            if "dir_fd" not in options:
                paths[descriptor] = relative(path)
            return descriptor

        def syncing(descriptor: int) -> None:
            calls.append(f"fsync {paths[descriptor]}")
            really["fsync"](descriptor)

        def renaming(name: str) -> Callable[..., None]:
            def rename(source: Any, target: Any) -> None:
                calls.append(f"rename {relative(source)} {relative(target)}")
                really[name](source, target)

            return rename

        def unlinking(path: Any, **options: Any) -> None:
            if not options:
                calls.append(f"unlink {relative(path)}")
            really["unlink"](path, **options)

        monkeypatch.setattr(os, "open", opening)
        monkeypatch.setattr(os, "fsync", syncing)
        monkeypatch.setattr(os, "rename", renaming("rename"))
        monkeypatch.setattr(os, "replace", renaming("replace"))
        monkeypatch.setattr(os, "unlink", unlinking)
        return calls

    def test_shards_over_shards(self, tmp_path: Path, calls: list[str]) -> None:
        save(tmp_path / "out", OLD, {"config.json": b"old", "same.json": b"same"}, limit=5)
        calls.clear()
        save(tmp_path / "out", NEW, {"config.json": b"new", "same.json": b"same"}, limit=5)
        work = "out/.zoo-save"
        shards = [f"model-{number:05d}-of-00002.safetensors" for number in (1, 2)]
        index = "model.safetensors.index.json"
        assert calls == [
            # All data are on the disk,
            *[f"fsync {work}/staged/files/{name}" for name in (*shards, index, "config.json", "same.json")],
            f"fsync {work}/staged/plan.json",
            # and so are their names,
            f"fsync {work}/staged/files",
            f"fsync {work}/staged",
            f"fsync {work}",
            "fsync out",
            # before the save counts;
            f"rename {work}/staged {work}/committed",
            f"fsync {work}",
            # it counts on the disk before the earlier one goes, that by which it is found first;
            f"unlink out/{index}",
            f"unlink out/{shards[1]}",
            f"unlink out/{shards[0]}",
            # it is gone before anything that it might be read with changes;
            "fsync out",
            f"rename {work}/committed/files/config.json out/config.json",
            *[f"rename {work}/committed/files/{name} out/{name}" for name in shards],
            # and all is in place before it can be found.
            "fsync out",
            f"rename {work}/committed/files/{index} out/{index}",
            "fsync out",
            f"unlink {work}/committed/plan.json",
            f"unlink {work}/lock",
        ]

    def test_weights_alone_are_replaced_by_one_rename(self, tmp_path: Path, calls: list[str]) -> None:
        save(tmp_path / "out", OLD, {"config.json": b"same"})
        calls.clear()
        save(tmp_path / "out", NEW, {"config.json": b"same"})
        work = "out/.zoo-save"
        assert calls[calls.index(f"rename {work}/staged {work}/committed") :] == [
            f"rename {work}/staged {work}/committed",
            f"fsync {work}",
            f"rename {work}/committed/files/model.safetensors out/model.safetensors",
            "fsync out",
            f"unlink {work}/committed/plan.json",
            f"unlink {work}/lock",
        ]

    def test_a_new_directory_is_durable_too(self, tmp_path: Path, calls: list[str]) -> None:
        save(tmp_path / "some" / "where", NEW)
        assert calls[:2] == ["fsync .", "fsync some"]

    def test_without_sync_nothing_is_flushed(self, tmp_path: Path, calls: list[str]) -> None:
        save(tmp_path / "out", OLD, {"config.json": b"old"}, limit=5, sync=False)
        assert not [call for call in calls if call.startswith("fsync")]


def test_a_file_system_that_does_not_flush_directories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fsync = os.fsync

    def picky(descriptor: int) -> None:
        if os.path.isdir(f"/proc/self/fd/{descriptor}"):
            raise OSError(errno.EINVAL, "Invalid argument")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", picky)
    save(tmp_path / "out", NEW)
    assert load(tmp_path / "out") == NEW


class TestLinks:
    """Whoever prepares a directory must not have files outside of it changed by a save into it."""

    @pytest.fixture
    def victim(self, tmp_path: Path) -> Any:
        victim = tmp_path / "victim"
        victim.mkdir()
        (victim / "rc").write_text("precious")
        (victim / "keep.txt").write_text("precious")
        before = contents(victim)
        yield victim
        assert contents(victim) == before

    @pytest.fixture
    def committed(self, tmp_path: Path) -> Path:
        """What a save would leave that died after it was committed."""
        committed = tmp_path / "out" / ".zoo-save" / "committed"
        (committed / "files").mkdir(parents=True)
        (committed / "plan.json").write_text(json.dumps({"files": ["sub/rc"], "removed": ["sub/keep.txt"]}))
        return committed

    def test_a_folder_of_the_target(self, victim: Path, tmp_path: Path, committed: Path) -> None:
        (committed / "files" / "sub").mkdir()
        (committed / "files" / "sub" / "rc").write_text("evil")
        (tmp_path / "out" / "sub").symlink_to(victim)
        with pytest.raises(SaveError, match=r"'sub/rc' would be moved or\s+removed through .*out/sub"):
            save(tmp_path / "out", NEW)

    def test_a_folder_of_what_was_committed(self, victim: Path, tmp_path: Path, committed: Path) -> None:
        (committed / "files" / "sub").symlink_to(victim)
        with pytest.raises(SaveError, match=r"through .*committed/files/sub"):
            save(tmp_path / "out", NEW)

    @pytest.mark.parametrize("part", ["committed", "committed/plan.json", "committed/files"])
    def test_what_was_committed(self, victim: Path, tmp_path: Path, committed: Path, part: str) -> None:
        (committed / "files" / "sub").mkdir()
        (committed / "files" / "sub" / "rc").write_text("evil")
        place = committed.parent / part
        place.rename(tmp_path / "moved")
        place.symlink_to(tmp_path / "moved")
        before = contents(tmp_path / "moved") if (tmp_path / "moved").is_dir() else {}
        with pytest.raises(MalformedCheckpoint, match=r"is a symbolic link; what an interrupted save left is none"):
            save(tmp_path / "out", NEW)
        assert not before or contents(tmp_path / "moved") == before

    def test_a_file_beside_the_tensors(self, victim: Path, tmp_path: Path) -> None:
        save(tmp_path / "out", OLD)
        (tmp_path / "out" / "cfg").symlink_to(victim)
        with pytest.raises(SaveError, match=r"cfg is a symbolic link, so that 'cfg/deep/a\.txt' would be changed"):
            save(tmp_path / "out", NEW, {"cfg/deep/a.txt": b"new"})
        with pytest.raises(SaveError, match="cfg is a symbolic link"), DirectoryTransaction(tmp_path / "out") as change:
            change.remove_file("cfg/keep.txt")
        assert load(tmp_path / "out") == OLD
