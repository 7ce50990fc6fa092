"""docs/checkpoints.md: each command does what the guide shows, line by line, on a terminal; its Python runs."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "checkpoints.md"
BLOCK = re.compile(r"^```(console|python)\n(.*?)^```", re.MULTILINE | re.DOTALL)
STYLES = re.compile(r"\x1b\[[0-9;]*m")


class Payload:
    """What a stranger puts into a pickle."""

    def __reduce__(self):
        return os.system, ("touch owned",)


def language_model():
    generator = torch.Generator().manual_seed(0)

    def random(*shape):
        return torch.randn(*shape, generator=generator).bfloat16()

    tensors = {"model.embed_tokens.weight": random(500, 32)}
    for number in range(4):
        prefix = f"model.layers.{number}"
        tensors |= {f"{prefix}.self_attn.{name}_proj.weight": random(32, 32) for name in "qkvo"}
        tensors |= {f"{prefix}.mlp.{name}_proj.weight": random(96, 32) for name in ("gate", "up")}
        tensors[f"{prefix}.mlp.down_proj.weight"] = random(32, 96)
        tensors |= {f"{prefix}.{name}_layernorm.weight": torch.ones(32) for name in ("input", "post_attention")}
    tensors["model.norm.weight"] = torch.ones(32)
    tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"]
    return tensors


def write_files(directory):
    """All that the guide's commands are given."""
    tensors = language_model()
    torch.save(tensors, directory / "pytorch_model.bin")
    torch.save({"weight": torch.ones(2, 2), "note": Payload()}, directory / "stranger.pt")
    (directory / "model").mkdir()
    torch.save(tensors, directory / "model" / "pytorch_model.bin")
    torch.save({"lr": 0.1}, directory / "model" / "training_args.bin")
    (directory / "model" / "config.json").write_text("{}")
    (directory / "model" / "tokenizer.json").write_text("{}")
    state = {f"model.encoder.{number}.weight": torch.ones(8, 8) for number in range(3)}
    optimizer = {"state": {0: {"exp_avg": torch.zeros(8, 8)}}, "param_groups": [{"lr": 0.001}]}
    torch.save({"epoch": 9, "state_dict": state, "optimizer_states": [optimizer]}, directory / "last.ckpt")
    networks = {name: {"net.weight": torch.ones(4, 4)} for name in ("generator", "discriminator")}
    torch.save(networks, directory / "gan.pt")
    (directory / "old" / "2019").mkdir(parents=True)
    torch.save({"w": torch.ones(3)}, directory / "old" / "2019" / "resnet.pth", _use_new_zipfile_serialization=False)
    torch.save({"w": torch.ones(3)}, directory / "old" / "vit.pt")
    (directory / "finetuned").mkdir()
    changed = {name: tensor for name, tensor in tensors.items() if name != "lm_head.weight"}
    changed["model.norm.weight"] = changed["model.norm.weight"] + torch.arange(32) / 64
    save_file(changed | {"score.weight": torch.zeros(2, 32)}, directory / "finetuned" / "model.safetensors")


@pytest.fixture
def files(tmp_path, monkeypatch):
    directory = tmp_path / "files"
    directory.mkdir()
    write_files(directory)
    monkeypatch.chdir(directory)
    return directory


def console():
    """The commands of the guide, and what it shows for each."""
    for kind, code in BLOCK.findall(GUIDE.read_text(encoding="utf-8")):
        if kind == "console":
            for part in re.split(r"^\$ ", code, flags=re.MULTILINE)[1:]:
                command, *shown = part.splitlines()
                yield command, [line.rstrip() for line in shown]


def test_the_commands_do_what_the_guide_shows(terminal, files):
    for command, shown in console():
        screen = terminal(*shlex.split(command)[1:], NO_COLOR="1", COLUMNS="110", ZOO_PROGRESS="0")
        assert screen.exit_code() == 0, f"{command}\n{screen.screen}"
        said = [line.rstrip() for line in STYLES.sub("", screen.screen).rstrip("\n").splitlines()]
        # "..." stands for lines that the guide leaves out.
        pattern = r"\n".join(".*" if line == "..." else re.escape(line) for line in shown)
        assert re.fullmatch(pattern, "\n".join(said), re.DOTALL), f"$ {command}\n{screen.screen}"
    assert not (files / "owned").exists()


def test_the_python_of_the_guide_runs(run_python, files):
    code = "\n".join(code for kind, code in BLOCK.findall(GUIDE.read_text(encoding="utf-8")) if kind == "python")
    process = run_python(code)
    assert process.returncode == 0, process.stderr
