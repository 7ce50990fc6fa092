"""`zoo inspect`."""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from zoo.cli.output import json_text
from zoo_tools import inspect

HEAVY = ["torch", "numpy", "transformers", "rich", "tokenizers", "jinja2", "email"]


def layers(number):
    tensors = {"embed.weight": torch.zeros(10, 4)}
    for place in range(number):
        tensors[f"layers.{place}.q.weight"] = torch.zeros(4, 4)
        tensors[f"layers.{place}.q.bias"] = torch.zeros(4)
    return tensors


@pytest.fixture
def model(tmp_path):
    """A safetensors file of a few layers."""
    path = tmp_path / "model.safetensors"
    save_file(layers(12), path, metadata={"format": "pt"})
    return str(path)


@pytest.fixture
def pickled(tmp_path):
    """The same as torch.save writes it, with a tied tensor and an optimizer beside the model."""
    path = tmp_path / "last.ckpt"
    tensors = layers(12)
    tensors["head.weight"] = tensors["embed.weight"]
    torch.save({"state_dict": tensors, "optimizer_states": [{"exp_avg": torch.zeros(40)}], "epoch": 3}, path)
    return str(path)


def rows(text, key):
    return [line.split("\t")[1:] for line in text.splitlines() if line.split("\t")[0] == key]


def test_in_a_pipe_each_tensor_has_a_line(zoo_here, model):
    finished = zoo_here("inspect", model)
    assert finished.exit_code == 0 and finished.stderr == ""
    lines = finished.stdout.splitlines()
    assert "format\tsafetensors" in lines and "tensors\t25" in lines and "parameters\t280" in lines
    assert ["F32", "25", "280", "1120"] in rows(finished.stdout, "dtype")
    assert ["layers.11.q.weight", "F32", "[4, 4]", "64", "model.safetensors", "-"] in rows(finished.stdout, "tensor")


def test_tree(zoo_here, model):
    assert rows(zoo_here("inspect", model, "--tree").stdout, "tree") == [
        ["embed.weight", "F32", "[10, 4]", "1", "160", "-"],
        ["layers.{0-11}.q", "-", "-", "24", "960", "-"],
        ["layers.{0-11}.q.bias", "F32", "[4]", "12", "192", "-"],
        ["layers.{0-11}.q.weight", "F32", "[4, 4]", "12", "768", "-"],
    ]
    shallow = rows(zoo_here("inspect", model, "--depth", "1").stdout, "tree")
    assert [row[0] for row in shallow] == ["embed.weight", "layers.{0-11}.q"]


def test_tree_and_json(zoo_here, model):
    values = json.loads(zoo_here("inspect", model, "--tree", "--depth", "1", "--json").stdout)
    assert values["tensors"] == [] and values["tree"]["bytes"] == 1120
    assert [(child["label"], child["copies"]) for child in values["tree"]["children"]] == [
        ("embed.weight", 1),
        ("layers.{0-11}.q", 12),
    ]
    assert values["tree"]["children"][1]["children"] == []


def test_filter(zoo_here, model):
    finished = zoo_here("inspect", model, "--filter", r"bias$")
    assert len(rows(finished.stdout, "tensor")) == 12
    assert rows(finished.stdout, "matching") == [["tensors", "12"], ["elements", "48"], ["bytes", "192"]]
    assert len(json.loads(zoo_here("inspect", model, "--filter", "bias$", "--json").stdout)["tensors"]) == 12
    assert zoo_here("inspect", model, "--filter", "(").exit_code == 1


def test_json_of_many_tensors_is_printed_in_parts_that_make_one_document(zoo_here, tmp_path):
    tensors = {f"layers.{number}.größe\u2028": torch.zeros(1) for number in range(2500)}
    save_file(tensors, tmp_path / "model.safetensors")
    for pattern, many in ((r"", 2500), (r"\.1\.", 1), (r"nothing", 0)):
        finished = zoo_here("inspect", str(tmp_path / "model.safetensors"), "--json", "--filter", pattern)
        report = inspect(tmp_path / "model.safetensors")
        assert finished.stdout == json_text(report.to_json(report.matching(pattern)), indent=2) + "\n"
        assert len(json.loads(finished.stdout)["tensors"]) == many


def test_depth_of_a_list_is_a_usage_error(zoo_here, model):
    finished = zoo_here("inspect", model, "--tensors", "--depth", "2")
    assert finished.exit_code == 2 and "--depth" in finished.stderr


def test_a_pickle(zoo_here, pickled):
    text = zoo_here("inspect", pickled).stdout
    assert "model\tstate_dict" in text.splitlines() and "runs_code\tno" in text.splitlines()
    assert ["torch._utils._rebuild_tensor_v2", "how torch stores tensors", "called"] in rows(text, "global")
    assert ["state_dict.embed.weight", "state_dict.head.weight"] in rows(text, "tied")
    values = json.loads(zoo_here("inspect", pickled, "--json").stdout)
    assert values["selection"]["path"] == "state_dict" and values["parameters"] == 280
    assert values["code"]["runs_code"] is False
    assert {tensor["name"]: tensor["model"] for tensor in values["tensors"]}["state_dict.embed.weight"]


def test_a_pickle_that_would_run_code(zoo_here, tmp_path):
    class Payload:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path / 'canary'}",)

    torch.save({"w": torch.zeros(2), "x": Payload()}, tmp_path / "evil.pt")
    finished = zoo_here("inspect", str(tmp_path / "evil.pt"))
    assert finished.exit_code == 0
    assert "runs_code\tyes: torch.load(weights_only=False) would run code" in finished.stdout.splitlines()
    assert ["posix.system", "code", "called"] in rows(finished.stdout, "global")
    assert not (tmp_path / "canary").exists()


def test_a_model_that_can_not_be_told(zoo_here, tmp_path):
    torch.save({"generator": layers(1), "discriminator": layers(2)}, tmp_path / "gan.pt")
    lines = zoo_here("inspect", str(tmp_path / "gan.pt")).stdout.splitlines()
    assert "model\tcan't be told: generator, discriminator" in lines and "parameters\t0" in lines


def test_what_can_not_be_read_is_told_with_the_reason(zoo_here, tmp_path):
    torch.save({"w": torch.ones(2), "s": torch.eye(3).to_sparse()}, tmp_path / "model.pt")
    assert ["s", "it is sparse"] in rows(zoo_here("inspect", str(tmp_path / "model.pt")).stdout, "unsupported")


def test_a_page(zoo_here, model, tmp_path):
    finished = zoo_here("inspect", model, "--html", str(tmp_path / "report.html"))
    assert f"page\t{tmp_path / 'report.html'}" in finished.stdout.splitlines()
    assert "<svg" in (tmp_path / "report.html").read_text(encoding="utf-8")
    finished = zoo_here("inspect", model, "--html", str(tmp_path / "absent" / "report.html"))
    assert finished.exit_code == 1 and "report.html can't be written" in finished.stderr


def test_a_page_never_takes_the_checkpoints_place(zoo_here, model, tmp_path):
    os.symlink(model, tmp_path / "link")
    before = Path(model).read_bytes()
    for page in (model, str(tmp_path / "link")):
        finished = zoo_here("inspect", model, "--html", page)
        assert finished.exit_code == 1 and "is the checkpoint itself" in finished.stderr
    assert Path(model).read_bytes() == before


def test_on_a_terminal_many_tensors_are_folded(terminal, tmp_path):
    save_file(layers(40), tmp_path / "model.safetensors")
    screen = terminal("inspect", str(tmp_path / "model.safetensors"))
    assert screen.exit_code() == 0
    assert "Tensors by prefix" in screen.screen and "layers.{0-39}.q" in screen.screen
    screen = terminal("inspect", str(tmp_path / "model.safetensors"), "--tensors")
    assert screen.exit_code() == 0
    assert "layers.39.q.bias" in screen.screen and "{0-39}" not in screen.screen


def test_on_a_terminal_long_tables_are_cut(terminal, tmp_path):
    save_file({"w": torch.zeros(1)}, tmp_path / "model.safetensors", metadata={f"key{n}": "v" for n in range(100)})
    screen = terminal("inspect", str(tmp_path / "model.safetensors"))
    assert screen.exit_code() == 0 and "and 40 more, which --json lists" in screen.screen


def test_on_a_terminal_few_are_listed(terminal, tmp_path):
    save_file(layers(2), tmp_path / "model.safetensors")
    screen = terminal("inspect", str(tmp_path / "model.safetensors"), NO_COLOR="1")
    assert screen.exit_code() == 0
    assert "160 bytes  F32    [10, 4]  embed.weight" in screen.screen


@pytest.mark.parametrize("arguments", [(), ("--json",), ("--tree",)])
def test_it_imports_nothing_heavy(run_python, pickled, arguments):
    script = f"""
        import sys
        from zoo.cli import main
        assert main(["inspect", {pickled!r}, *{arguments!r}]) == 0
        print()
        print([name for name in {HEAVY!r} if name in sys.modules])
    """
    process = run_python(script)
    assert process.stdout.splitlines()[-1] == "[]", process.stderr


def test_ten_gigabytes_take_no_reading(zoo_here, tmp_path):
    size = 10**10
    header = json.dumps({"w": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}).encode()
    with open(tmp_path / "sparse.safetensors", "wb") as file:
        file.write(struct.pack("<Q", len(header)) + header)
        file.truncate(8 + len(header) + size)
    assert "tensor_bytes\t10000000000" in zoo_here("inspect", str(tmp_path / "sparse.safetensors")).stdout


@pytest.mark.parametrize("command", ["inspect", "verify"])
def test_what_is_not_there_is_one_line(zoo_here, tmp_path, command):
    finished = zoo_here(command, str(tmp_path / "absent.pt"))
    assert (finished.exit_code, finished.stdout) == (1, "")
    assert finished.stderr == f"zoo: error: {tmp_path / 'absent.pt'}: no such file.\n"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
@pytest.mark.parametrize("command", ["inspect", "verify"])
def test_a_pipe_does_not_hang(zoo_here, tmp_path, command):
    os.mkfifo(tmp_path / "model.safetensors")
    finished = zoo_here(command, str(tmp_path / "model.safetensors"))
    assert finished.exit_code == 1 and "is a named pipe" in finished.stderr
    assert len(finished.stderr.splitlines()) == 1
