"""A file is there entirely or not at all."""

from __future__ import annotations

import os

import pytest

from zoo.checkpoint.whole_file import whole_file
from zoo.errors import SaveError


def test_a_file_has_its_name_when_it_is_complete(tmp_path):
    path = tmp_path / "out.bin"
    path.write_bytes(b"earlier")
    with whole_file(path) as file:
        file.write(b"later")
        assert path.read_bytes() == b"earlier"
    assert path.read_bytes() == b"later"
    assert os.listdir(tmp_path) == ["out.bin"]


def test_a_block_that_fails_changes_nothing(tmp_path):
    path = tmp_path / "out.bin"
    path.write_bytes(b"earlier")

    def fail():
        with whole_file(path) as file:
            file.write(b"half")
            raise KeyError("the rest")

    with pytest.raises(KeyError):
        fail()
    assert path.read_bytes() == b"earlier"
    assert os.listdir(tmp_path) == ["out.bin"]


def test_a_link_leads_to_the_new_file(tmp_path):
    (tmp_path / "out.bin").write_bytes(b"earlier")
    (tmp_path / "link.bin").symlink_to("out.bin")
    with whole_file(tmp_path / "link.bin") as file:
        file.write(b"later")
    assert (tmp_path / "link.bin").is_symlink()
    assert (tmp_path / "out.bin").read_bytes() == b"later"


@pytest.mark.parametrize("name", ["no/such/directory/out.bin", "directory"])
def test_what_the_system_refuses_is_said(tmp_path, name):
    (tmp_path / "directory").mkdir()
    with pytest.raises(SaveError, match="can't be written"), whole_file(tmp_path / name) as file:
        file.write(b"bytes")
    assert os.listdir(tmp_path) == ["directory"]
