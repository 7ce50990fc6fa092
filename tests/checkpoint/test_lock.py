from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from zoo.checkpoint import DirectoryTransaction
from zoo.checkpoint.lock import WorkFolder
from zoo.errors import SaveError

HOLD = """
import sys
from zoo.checkpoint import DirectoryTransaction
with DirectoryTransaction(sys.argv[1]) as save:
    save.write_file("config.json", b"unfinished")
    print("ready", flush=True)
    sys.stdin.read()
"""


def test_one_save_at_a_time_and_a_killed_one_does_not_stand_in_the_way(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline().strip() == b"ready"
        with (
            pytest.raises(SaveError, match="another save into this directory is running"),
            DirectoryTransaction(tmp_path),
        ):
            pass
        holder.kill()
    assert (tmp_path / ".zoo-save" / "staged").exists(), "it had no chance to clean up"
    with DirectoryTransaction(tmp_path) as save:
        save.write_file("config.json", b"finished")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"config.json": b"finished"}


def test_two_saves_in_one_process(tmp_path: Path) -> None:
    with DirectoryTransaction(tmp_path) as outer:
        outer.write_file("x", b"outer")
        with pytest.raises(SaveError, match="another save"), DirectoryTransaction(tmp_path) as inner:
            inner.write_file("x", b"inner")
    assert (tmp_path / "x").read_bytes() == b"outer"


@pytest.mark.skipif(sys.platform == "win32", reason="there it is msvcrt")
class TestFileSystemsWithoutLocks:
    @pytest.fixture(autouse=True)
    def no_locks(self, monkeypatch: pytest.MonkeyPatch) -> None:
        import fcntl

        def unable(descriptor: int, operation: int) -> None:
            raise OSError(errno.ENOLCK, "No locks available")

        monkeypatch.setattr(fcntl, "flock", unable)

    def test_a_save_works_all_the_same(self, tmp_path: Path) -> None:
        with DirectoryTransaction(tmp_path) as save:
            save.write_file("x", b"1")
        assert [path.name for path in tmp_path.iterdir()] == ["x"]

    def test_what_may_be_another_save_is_left_alone(self, tmp_path: Path) -> None:
        (tmp_path / ".zoo-save" / "staged").mkdir(parents=True)
        with pytest.raises(SaveError, match="no locks to tell") as raised, DirectoryTransaction(tmp_path):
            pass
        assert "remove that folder" in str(raised.value)
        assert (tmp_path / ".zoo-save" / "staged").exists()


def test_a_link_in_the_folders_place_is_not_followed(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").write_text("precious")
    target = tmp_path / "out"
    target.mkdir()
    (target / ".zoo-save").symlink_to(precious)
    with pytest.raises(SaveError, match=r"\.zoo-save can't be created: File exists"), DirectoryTransaction(target):
        pass
    assert (precious / "file").read_text() == "precious"


def test_a_link_inside_the_folder_is_not_followed(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").write_text("precious")
    (tmp_path / "out" / ".zoo-save").mkdir(parents=True)
    (tmp_path / "out" / ".zoo-save" / "staged").symlink_to(precious)
    with DirectoryTransaction(tmp_path / "out"):
        pass
    assert (precious / "file").read_text() == "precious"
    assert list((tmp_path / "out").iterdir()) == []


def test_a_save_that_begins_while_another_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the removal of the lock and that of the folder, the folder may become another save's."""
    folder = WorkFolder(tmp_path / "work")
    rmdir = os.rmdir
    others: list[WorkFolder] = []

    def overtaken(path: Path) -> None:
        others.append(WorkFolder(path))
        rmdir(path)

    monkeypatch.setattr(os, "rmdir", overtaken)
    folder.release()
    monkeypatch.undo()
    others[0].release()
    assert not (tmp_path / "work").exists()


def test_a_lock_that_its_holder_has_just_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file that was opened may be gone from the folder by the time that it is locked; such a lock holds nothing."""
    import zoo.checkpoint.lock as lock

    try_lock = lock._try_lock

    def late(descriptor: int) -> bool | None:
        os.unlink(tmp_path / "work" / "lock")
        return try_lock(descriptor)

    monkeypatch.setattr(lock, "_try_lock", late)
    with pytest.raises(SaveError, match="another save"):
        WorkFolder(tmp_path / "work")


def test_a_link_in_the_locks_place_is_not_followed(tmp_path: Path) -> None:
    """Opening it would make the file that it leads to."""
    (tmp_path / "out" / ".zoo-save").mkdir(parents=True)
    (tmp_path / "out" / ".zoo-save" / "lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SaveError, match="lock is a symbolic link"), DirectoryTransaction(tmp_path / "out"):
        pass
    assert not (tmp_path / "elsewhere").exists()
