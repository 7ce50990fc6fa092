"""`zoo migrate`, `zoo shard` and `zoo merge`: what a person types, reads and gets."""

from __future__ import annotations

import json
import os
import shlex

import pytest
import torch
from safetensors.torch import load_file, save_file


def tensors():
    generator = torch.Generator().manual_seed(0)
    made = {f"layers.{number}.weight": torch.randn(50, 40, generator=generator) for number in range(6)}
    made["embed.weight"] = torch.randn(100, 8, generator=generator)
    return made


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.fixture
def pickled(tmp_path):
    torch.save(tensors(), tmp_path / "pytorch_model.bin")
    return str(tmp_path / "pytorch_model.bin")


@pytest.fixture
def interrupted(monkeypatch):
    """Have Ctrl-C come when a command is most of the way."""

    def arrange(command):
        module = f"zoo_tools.cli.{command}"
        function = getattr(__import__(module, fromlist=[command]), command)

        def press_ctrl_c(done, total):
            if done * 4 > total * 3:
                raise KeyboardInterrupt

        def run(*arguments, **options):
            monkeypatch.undo()
            return function(*arguments, **{**options, "progress": press_ctrl_c})

        monkeypatch.setattr(f"{module}.{command}", run)

    return arrange


def test_a_pickle_without_any_option(zoo_here, pickled, tmp_path):
    finished = zoo_here("migrate", pickled, str(tmp_path / "out"))
    assert (finished.exit_code, finished.stderr) == (0, "")
    first, *_, last = finished.stdout.splitlines()
    assert first.startswith(f"{pickled} (torch): 7 tensors of 51.2 kB written to {tmp_path / 'out'}")
    assert last == "Read again and compared with the source: every element is the same."
    assert os.listdir(tmp_path / "out") == ["model.safetensors"]
    assert same(load_file(tmp_path / "out" / "model.safetensors"), torch.load(pickled, weights_only=True))


def test_a_training_checkpoint_says_what_it_took(zoo_here, tmp_path):
    state = {"state_dict": tensors(), "optimizer_states": [{"state": {0: {"exp_avg": torch.zeros(9)}}}], "epoch": 7}
    torch.save(state, tmp_path / "last.ckpt")
    finished = zoo_here("migrate", str(tmp_path / "last.ckpt"), str(tmp_path / "out"))
    assert finished.exit_code == 0 and "Taken was 'state_dict'" in finished.stdout
    assert same(load_file(tmp_path / "out" / "model.safetensors"), tensors())


def test_options_reach_the_tensors(zoo_here, pickled, tmp_path):
    finished = zoo_here(
        "migrate",
        pickled,
        str(tmp_path / "out.safetensors"),
        "--dtype=bf16",
        r"--rename=layers\.(.*)=blocks.\1",
        "--rename=embed.weight=embedding",
        r"--drop=layers\.5\..*",
        r"--drop=layers\.4\..*",
        "--no-sync",
        "--jobs=1",
    )
    assert finished.exit_code == 0, finished.stderr
    expected = {f"blocks.{number}.weight": tensors()[f"layers.{number}.weight"].bfloat16() for number in range(4)}
    expected["embedding"] = tensors()["embed.weight"].bfloat16()
    assert same(load_file(tmp_path / "out.safetensors"), expected)


def test_a_dry_run_writes_nothing(zoo_here, pickled, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    for command in ("migrate", "shard", "merge"):
        finished = zoo_here(command, pickled, str(tmp_path / "out"), "--dry-run")
        assert finished.exit_code == 0 and "would be" in finished.stdout
        assert sorted(tmp_path.rglob("*")) == before


def test_json(zoo_here, pickled, tmp_path):
    finished = zoo_here("migrate", pickled, str(tmp_path / "out"), "--json", "--manifest")
    values = json.loads(finished.stdout)
    assert (values["tensors"], values["verified"], values["format"]) == (7, True, "torch")
    assert values["files"][0]["name"] == "model.safetensors" and values["content_sha256"]
    assert "summary" in values


def test_what_is_there_is_not_replaced_unasked(zoo_here, pickled, tmp_path):
    out = str(tmp_path / "out")
    assert zoo_here("migrate", pickled, out).exit_code == 0
    finished = zoo_here("migrate", pickled, out)
    assert finished.exit_code == 1 and "--force" in finished.stderr and "Traceback" not in finished.stderr
    assert zoo_here("migrate", pickled, out, "--force").exit_code == 0


@pytest.mark.parametrize("command", ["migrate", "shard", "merge"])
def test_ctrl_c_says_how_to_go_on_and_that_works(zoo_here, pickled, tmp_path, interrupted, command):
    source = str(tmp_path / "it's a model.bin")
    os.rename(pickled, source)
    options = ["--max-shard-size", "10kB"] if command != "merge" else []
    if command == "migrate":
        options += [r"--rename=layers\.(.*)=\1", "--drop", "embed.*", "--drop", "nothing", "--no-sync"]
    interrupted(command)
    finished = zoo_here(command, source, str(tmp_path / "out"), *options)
    assert finished.exit_code == 130 and finished.stdout == ""
    assert not list(tmp_path.glob("out/*.safetensors"))
    said = finished.stderr.splitlines()[-1].strip()
    assert said.startswith(f"zoo {command} ") and said.endswith(" --resume")
    words = shlex.split(said)
    assert words[1:4] == [command, source, str(tmp_path / "out")]
    finished = zoo_here(*words[1:])
    assert finished.exit_code == 0, finished.stderr
    again = zoo_here(command, source, str(tmp_path / "straight"), *options)
    assert again.exit_code == 0
    names = sorted(os.listdir(tmp_path / "straight"))
    assert sorted(os.listdir(tmp_path / "out")) == names
    assert all((tmp_path / "out" / name).read_bytes() == (tmp_path / "straight" / name).read_bytes() for name in names)


def test_an_interrupted_run_is_neither_lost_nor_forgotten(zoo_here, pickled, tmp_path, interrupted):
    interrupted("migrate")
    arguments = "migrate", pickled, str(tmp_path / "out"), "--max-shard-size", "10kB"
    assert zoo_here(*arguments).exit_code == 130
    finished = zoo_here(*arguments)
    assert finished.exit_code == 1 and "--resume" in finished.stderr and "--force" in finished.stderr


def test_shard_and_merge(zoo_here, pickled, tmp_path):
    assert zoo_here("shard", pickled, str(tmp_path / "shards"), "--max-shard-size", "20kB").exit_code == 0
    assert len(list((tmp_path / "shards").glob("model-0000*-of-00003.safetensors"))) == 3
    index = json.loads((tmp_path / "shards" / "model.safetensors.index.json").read_text())
    assert index["metadata"]["total_size"] == 51_200
    finished = zoo_here("merge", str(tmp_path / "shards"), str(tmp_path / "whole.safetensors"))
    assert finished.exit_code == 0
    assert same(load_file(tmp_path / "whole.safetensors"), tensors())
    assert zoo_here("verify", pickled, str(tmp_path / "shards")).exit_code == 0


def test_many_checkpoints(zoo_here, tmp_path):
    (tmp_path / "in" / "deep").mkdir(parents=True)
    torch.save(tensors(), tmp_path / "in" / "good.pt")
    torch.save({"w": torch.ones(2)}, tmp_path / "in" / "deep" / "also.pth")
    (tmp_path / "in" / "bad.pt").write_bytes(b"PK\x03\x04 and then nothing")
    finished = zoo_here("migrate", str(tmp_path / "in"), str(tmp_path / "out"), "--recursive")
    assert finished.exit_code == 1
    assert f"{tmp_path / 'in' / 'bad.pt'}: not migrated." in finished.stdout.splitlines()
    assert finished.stdout.splitlines()[-1] == "2 checkpoints migrated, 1 failed."
    assert same(load_file(tmp_path / "out" / "good.safetensors"), tensors())
    assert (tmp_path / "out" / "deep" / "also.safetensors").exists()
    values = json.loads(
        zoo_here("migrate", str(tmp_path / "in"), str(tmp_path / "new"), "--recursive", "--json").stdout
    )
    assert [item["error"] is None for item in values["items"]] == [False, True, True]


@pytest.mark.parametrize("command", ["migrate", "shard", "merge"])
@pytest.mark.parametrize(
    ("source", "message"),
    [("absent.bin", "no such file"), ("pipe.bin", "is a named pipe"), ("notes.bin", "notes.bin")],
)
def test_what_can_not_be_read_is_told_in_a_line(zoo_here, tmp_path, command, source, message):
    if not hasattr(os, "mkfifo"):
        pytest.skip("this system has no named pipes")
    os.mkfifo(tmp_path / "pipe.bin")
    (tmp_path / "notes.bin").write_text("no checkpoint")
    finished = zoo_here(command, str(tmp_path / source), str(tmp_path / "out"))
    assert finished.exit_code == 1 and message in finished.stderr and "Traceback" not in finished.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("size", ["0", "10 apples", "-1"])
def test_sizes_that_are_none(zoo_here, pickled, tmp_path, size):
    finished = zoo_here("shard", pickled, str(tmp_path / "out"), "--max-shard-size", size)
    assert finished.exit_code == 1 and "is not a size" in finished.stderr


def test_names_of_strangers_in_what_is_said(zoo_here, tmp_path):
    hostile = ["\x1b[31mred", "two\nlines", "[bold]x[/]", "\u202egnp"]
    shared = torch.ones(3)
    torch.save(dict.fromkeys(hostile, shared), tmp_path / "model.bin")
    finished = zoo_here("migrate", str(tmp_path / "model.bin"), str(tmp_path / "out"), r"--rename=\[b(.*)=\1")
    assert finished.exit_code == 0, finished.stderr
    assert "\x1b" not in finished.stdout and "\u202e" not in finished.stdout
    save_file({hostile[0]: shared}, tmp_path / "\x1b[31m.safetensors")
    finished = zoo_here("migrate", str(tmp_path / "\x1b[31m.safetensors"), str(tmp_path / "\x1b[32mout"))
    assert finished.exit_code == 0 and "\x1b" not in finished.stdout


def test_it_imports_nothing_heavy(run_python, pickled, tmp_path):
    script = f"""
        import sys
        from zoo.cli import main
        assert main(["migrate", {pickled!r}, {str(tmp_path / "out")!r}]) == 0
        heavy = ["torch", "numpy", "transformers", "rich", "tokenizers", "jinja2", "email"]
        print([name for name in heavy if name in sys.modules])
    """
    process = run_python(script)
    assert process.stdout.splitlines()[-1] == "[]", process.stderr


@pytest.mark.parametrize("command", ["inspect", "migrate", "shard", "merge", "verify", "diff"])
def test_every_command_has_help_with_examples(zoo_here, command):
    finished = zoo_here(command, "--help")
    assert finished.exit_code == 0
    assert f"Usage: zoo {command} [OPTIONS]" in finished.stdout and "Examples:\n" in finished.stdout
    assert f"\n    zoo {command} " in finished.stdout
