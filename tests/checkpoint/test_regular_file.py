from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from zoo.checkpoint.regular_file import open_regular, read_at, read_up_to
from zoo.checkpoint.safetensors import open_file
from zoo.errors import CheckpointError


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_is_refused_and_does_not_block(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    os.mkfifo(path)
    with pytest.raises(CheckpointError, match=r"model\.safetensors is a named pipe; a regular file was expected"):
        open_file(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_put_in_a_files_place_after_the_check_does_not_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.safetensors"
    path.touch()
    looked = os.stat(path)
    path.unlink()
    os.mkfifo(path)
    monkeypatch.setattr(os, "stat", lambda _: looked)
    with pytest.raises(CheckpointError, match="named pipe"):
        open_file(path)


@pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="no devices here")
def test_a_device_is_refused_without_being_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.safetensors"
    path.symlink_to("/dev/zero")
    monkeypatch.setattr(os, "open", None)
    with pytest.raises(CheckpointError, match="is a device"):
        open_file(path)


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no such sockets here")
def test_a_socket_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # such addresses are short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("s")
        with pytest.raises(CheckpointError, match="s is a socket"):
            open_file(Path("s"))


def test_a_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="is a directory"):
        open_file(tmp_path)


def test_a_dangling_link_is_named_with_its_target(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.symlink_to(tmp_path / "blobs" / "abc")
    with pytest.raises(CheckpointError, match=r"symbolic link to .*abc, which does not exist"):
        open_file(path)


@pytest.mark.parametrize("name", ["a\0b", "x" * 5000])
def test_an_impossible_path(tmp_path: Path, name: str) -> None:
    with pytest.raises(CheckpointError, match="can't be opened"):
        open_file(tmp_path / name)


def test_links_in_a_circle(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(CheckpointError, match="can't be opened"):
        open_file(tmp_path / "a")


def test_control_characters_of_a_path_do_not_reach_the_terminal(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError) as raised:
        open_file(tmp_path / "\x1b[2J.safetensors")
    assert "\x1b" not in str(raised.value)


def test_a_file_that_is_read_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A system call may give less than was asked for without the file being at its end."""
    path = tmp_path / "file"
    path.write_bytes(bytes(range(100)))
    pread = os.pread
    monkeypatch.setattr(os, "pread", lambda descriptor, length, offset: pread(descriptor, min(length, 7), offset))
    with open_regular(path) as (descriptor, size):
        assert size == 100
        assert read_up_to(descriptor, 50, 10, path) == bytes(range(10, 60))
        assert read_up_to(descriptor, 50, 90, path) == bytes(range(90, 100))


def test_a_system_without_pread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(range(100)))
    monkeypatch.delattr(os, "pread")
    with open_regular(path) as (descriptor, _):
        assert read_up_to(descriptor, 5, 20, path) == bytes(range(20, 25))


def test_a_read_error_says_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(descriptor: int, length: int, offset: int) -> bytes:
        raise OSError(5, "Input/output error")

    path = tmp_path / "file"
    path.write_bytes(bytes(100))
    monkeypatch.setattr(os, "pread", failing)
    with (
        open_regular(path) as (descriptor, _),
        pytest.raises(CheckpointError, match=r"file can't be read at bytes 8\.\.18: Input/output error"),
    ):
        read_at(descriptor, 10, 8, path)
