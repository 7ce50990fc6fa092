"""Processes killed, disks full, sources that change: no file under a final name is ever incomplete, and it goes on."""

from __future__ import annotations

import errno
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from zoo.checkpoint import copying
from zoo.checkpoint.journal import is_resumable
from zoo.errors import CheckpointError, MalformedCheckpoint, SaveError
from zoo_tools.migration import migrate
from zoo_tools.resharding import shard

SHARD = 400_000
KILLS = 30

# Counts the calls by which bytes and names reach the disk, and dies at one of them. With no number: says how many.
KILLED = """
import os, signal, sys
from pathlib import Path

tool, source, target, number = sys.argv[1:5]
calls = 0

def counted(really):
    def call(*arguments, **options):
        global calls
        calls += 1
        if calls == int(number):
            os.kill(os.getpid(), signal.SIGKILL)
        return really(*arguments, **options)
    return call

import zoo_tools
from zoo.checkpoint import copying
run = getattr(zoo_tools, tool)
copying._WAYS = tuple(map(counted, copying._WAYS))
for name in ("write", "rename", "replace", "unlink", "mkdir", "fsync", "rmdir", "open", "truncate", "preadv"):
    setattr(os, name, counted(getattr(os, name)))
run(source, target, max_shard_size={shard}, resume="resume" in sys.argv)
print(calls)
"""


def state() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    tensors = {f"layer.{number}": torch.randn(300, 300, generator=generator) for number in range(8)}
    tensors["small"] = torch.randn(10, generator=generator)
    tensors["transposed"] = torch.randn(200, 400, generator=generator).t()
    return tensors


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model directory with a torch file, and one with a safetensors file."""
    directory = tmp_path_factory.mktemp("source")
    (directory / "torch").mkdir()
    torch.save(state(), directory / "torch" / "pytorch_model.bin")
    (directory / "torch" / "config.json").write_text("{}")
    migrate(directory / "torch", directory / "safetensors", sync=False)
    return directory


def contents(path: Path) -> dict[str, bytes]:
    return {file.relative_to(path).as_posix(): file.read_bytes() for file in path.rglob("*") if file.is_file()}


def run(tool: str, source: Path, target: Path, number: int, *options: str) -> subprocess.CompletedProcess[str]:
    code = KILLED.replace("{shard}", str(SHARD))
    command = [sys.executable, "-c", code, tool, str(source), str(target), str(number), *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="processes can't be killed so here")
@pytest.mark.parametrize(("tool", "kind"), [("migrate", "torch"), ("shard", "safetensors")])
def test_killed_at_random_points(source: Path, tmp_path: Path, tool: str, kind: str) -> None:
    before = contents(source / kind)
    undisturbed = run(tool, source / kind, tmp_path / "undisturbed", 0)
    assert undisturbed.returncode == 0, undisturbed.stderr
    expected = contents(tmp_path / "undisturbed")
    assert len(expected) > 5
    points = random.Random(tool).sample(range(1, int(undisturbed.stdout)), KILLS)
    resumed = 0
    for number in points:
        target = tmp_path / str(number)
        killed = run(tool, source / kind, target, number)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        for path in target.glob("*") if target.exists() else ():
            if path.is_file():
                assert path.read_bytes() == expected[path.name], f"call {number}"
        report = {"migrate": migrate, "shard": shard}[tool](
            source / kind, target, max_shard_size=SHARD, resume=True, sync=False
        )
        resumed += report.resumed
        assert contents(target) == expected, f"call {number}"
        assert report.verified
    assert resumed > 5, "some of them were worth continuing"
    assert contents(source / kind) == before, "the source is unchanged"


@pytest.fixture
def torch_file(tmp_path: Path) -> Path:
    path = tmp_path / "weights.bin"
    torch.save(state(), path)
    return path


def failing_after(monkeypatch: pytest.MonkeyPatch, shards: int, fail: Callable[[], Any]) -> None:
    """Have the copying of a tensor fail when that many tensors are copied."""
    count = 0
    really = copying._WAYS[-1]

    def way(*arguments: Any) -> int:
        nonlocal count
        count += 1
        if count > shards:
            fail()
        return really(*arguments)

    monkeypatch.setattr(copying, "_WAYS", (way,))


def test_a_full_disk(torch_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full() -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    target = tmp_path / "out"
    with monkeypatch.context() as patch:
        failing_after(patch, 4, full)
        with pytest.raises(SaveError, match="No space left") as raised:
            migrate(torch_file, target, max_shard_size=SHARD, jobs=1)
    assert "Free some space" in str(raised.value)
    assert [path.name for path in target.iterdir()] == [".zoo-save"]
    report = migrate(torch_file, target, max_shard_size=SHARD, resume=True)
    assert report.resumed
    assert any(file.reused for file in report.files)
    assert any("Continued an interrupted run" in sentence for sentence in report.sentences)


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_interrupt(torch_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jobs: int) -> None:
    def interrupt(done: int, total: int) -> None:
        if done > total // 2:
            raise KeyboardInterrupt

    target = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        migrate(torch_file, target, max_shard_size=SHARD, jobs=jobs, progress=interrupt)
    assert is_resumable(target / ".zoo-save")
    with pytest.raises(SaveError, match="--resume") as raised:
        migrate(torch_file, target, max_shard_size=SHARD)
    assert "--force" in str(raised.value)
    migrate(torch_file, target, max_shard_size=SHARD, resume=True)
    migrate(torch_file, tmp_path / "undisturbed", max_shard_size=SHARD)
    assert contents(target) == contents(tmp_path / "undisturbed")


def test_a_read_only_file_system(torch_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any, **options: Any) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    with monkeypatch.context() as patch:
        patch.setattr(os, "mkdir", refuse)
        for target in (tmp_path / "out", tmp_path / "y.safetensors"):
            with pytest.raises(SaveError, match="Read-only file system"):
                migrate(torch_file, target)
    assert [path.name for path in tmp_path.iterdir()] == ["weights.bin"]


def test_a_source_that_shrinks(torch_file: Path, tmp_path: Path) -> None:
    size = torch_file.stat().st_size

    def shrink(done: int, total: int) -> None:
        os.truncate(torch_file, size // 3)

    with pytest.raises(MalformedCheckpoint, match="cut short"):
        migrate(torch_file, tmp_path / "out", max_shard_size=SHARD, progress=shrink, jobs=1)
    assert not list((tmp_path / "out").glob("*.safetensors"))


@pytest.mark.parametrize("verify", [True, False])
def test_a_source_that_changes_at_equal_size(torch_file: Path, tmp_path: Path, verify: bool) -> None:
    changed = torch_file.read_bytes()[::-1]

    def change(done: int, total: int) -> None:
        if done > total * 2 // 3 and torch_file.read_bytes() != changed:
            with torch_file.open("r+b") as file:
                file.write(changed)

    with pytest.raises(CheckpointError):
        migrate(torch_file, tmp_path / "out", max_shard_size=SHARD, progress=change, jobs=1, verify=verify)
    assert not list((tmp_path / "out").glob("*.safetensors"))


@pytest.mark.parametrize("keep_times", [True, False])
def test_a_source_that_changed_before_it_is_resumed(torch_file: Path, tmp_path: Path, keep_times: bool) -> None:
    """Another training run of the same model gives a file of the same size: its tensors must not be mixed with those
    of the earlier one.
    """

    def interrupt(done: int, total: int) -> None:
        if done > total // 2:
            raise KeyboardInterrupt

    target = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        migrate(torch_file, target, max_shard_size=SHARD, progress=interrupt, jobs=1)
    times = torch_file.stat().st_atime_ns, torch_file.stat().st_mtime_ns
    other = {name: tensor + 1 for name, tensor in state().items()}
    torch.save(other, torch_file)
    os.utime(torch_file, ns=times if keep_times else (times[0], times[1] + 1))
    if not keep_times:
        with pytest.raises(SaveError, match=r"another one: source\..*weights\.bin"):
            migrate(torch_file, target, max_shard_size=SHARD, resume=True)
        return
    # Even the time of the change was hidden; what is compared again shows it.
    report = migrate(torch_file, target, max_shard_size=SHARD, resume=True)
    assert not any(file.reused for file in report.files)
    tensors: dict[str, torch.Tensor] = {}
    for file in report.files:
        tensors |= load_file(target / file.name)
    assert all(torch.equal(tensors[name], tensor) for name, tensor in other.items())


@pytest.mark.parametrize("change", [{"dtype": "bf16"}, {"max_shard_size": SHARD + 1}, {"drop": ["small"]}])
def test_another_job_is_not_resumed(torch_file: Path, tmp_path: Path, change: dict[str, Any]) -> None:
    def interrupt(done: int, total: int) -> None:
        if done > total // 2:
            raise KeyboardInterrupt

    target = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        migrate(torch_file, target, max_shard_size=SHARD, progress=interrupt, jobs=1)
    with pytest.raises(SaveError, match=f"options.{next(iter(change))} was"):
        migrate(torch_file, target, **{"max_shard_size": SHARD, **change, "resume": True})
    assert migrate(torch_file, target, **{"max_shard_size": SHARD, **change, "force": True}).verified


def test_resuming_what_is_complete(torch_file: Path, tmp_path: Path) -> None:
    """A run that was killed at its very end has nothing left to do, and to say so is no error."""
    for target in (tmp_path / "out", tmp_path / "y.safetensors"):
        migrate(torch_file, target)
        before = (target / "model.safetensors" if target.is_dir() else target).stat()
        report = migrate(torch_file, target, resume=True)
        assert report.resumed
        assert (target / "model.safetensors" if target.is_dir() else target).stat() == before
        with pytest.raises(SaveError, match="exists already"):
            migrate(torch_file, target, resume=True, drop=["small"])


def test_one_job_per_target(torch_file: Path, tmp_path: Path) -> None:
    def again(done: int, total: int) -> None:
        with pytest.raises(SaveError, match="another save into this directory is running"):
            migrate(torch_file, tmp_path / "out", force=True)

    migrate(torch_file, tmp_path / "out", progress=again, jobs=1)


def test_what_a_faulty_disk_wrote_gets_no_name(
    torch_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    really = copying._WAYS[-1]

    def faulty(source: int, target: int, offset: int, length: int, path: Path) -> int:
        copied = really(source, target, offset, length, path)
        place = os.lseek(target, 0, os.SEEK_CUR)
        os.lseek(target, place - 5, os.SEEK_SET)
        os.write(target, b"?")
        os.lseek(target, place, os.SEEK_SET)
        return copied

    monkeypatch.setattr(copying, "_WAYS", (faulty,))
    with pytest.raises(CheckpointError, match="read again, its byte"):
        migrate(torch_file, tmp_path / "out")
    assert not (tmp_path / "out").exists()
