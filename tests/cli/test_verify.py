"""`zoo verify`."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import save_file


@pytest.fixture
def tensors():
    return {"a": torch.arange(12.0).reshape(3, 4), "b": torch.tensor([float("nan")])}


def test_a_pickle_and_what_was_made_of_it(zoo_here, tmp_path, tensors):
    torch.save({"state_dict": tensors, "optimizer": {"step": torch.zeros(9)}}, tmp_path / "last.ckpt")
    save_file(tensors, tmp_path / "model.safetensors")
    finished = zoo_here("verify", str(tmp_path / "last.ckpt"), str(tmp_path / "model.safetensors"))
    assert (finished.exit_code, finished.stdout) == (0, "same\t2 tensors, 52 bytes: equal bit for bit\n")


def test_views_in_a_pickle_are_the_elements_they_show(zoo_here, tmp_path, tensors):
    base = torch.arange(12.0).reshape(3, 4)
    torch.save({"a": base.t().contiguous().t(), "b": tensors["b"]}, tmp_path / "views.pt")
    save_file(tensors, tmp_path / "model.safetensors")
    assert zoo_here("verify", str(tmp_path / "views.pt"), str(tmp_path / "model.safetensors")).exit_code == 0


def test_select(zoo_here, tmp_path, tensors):
    other = {"a": tensors["a"] + 1, "b": tensors["b"]}
    torch.save({"model": other, "ema": tensors}, tmp_path / "both.pt")
    save_file(tensors, tmp_path / "model.safetensors")
    arguments = "verify", str(tmp_path / "both.pt"), str(tmp_path / "model.safetensors")
    undecided = zoo_here(*arguments)
    assert undecided.exit_code == 1 and "ema" in undecided.stderr and "model" in undecided.stderr
    assert zoo_here(*arguments, "--select", "ema").exit_code == 0
    assert zoo_here(*arguments, "--select", "model").exit_code == 1


def test_what_differs_is_listed(zoo_here, tmp_path, tensors):
    save_file(tensors, tmp_path / "a.safetensors")
    save_file({"a": tensors["a"] * 2, "c": tensors["b"]}, tmp_path / "b.safetensors")
    paths = str(tmp_path / "a.safetensors"), str(tmp_path / "b.safetensors")
    finished = zoo_here("verify", *paths)
    assert finished.exit_code == 1
    assert finished.stdout.splitlines() == [
        "different\t3 tensors; equal: 0 tensors, 0 bytes",
        "only in a\tb",
        "only in b\tc",
        "values\ta: first at element [0, 1]",
    ]
    finished = zoo_here("verify", *paths, "--json")
    assert finished.exit_code == 1 and not json.loads(finished.stdout)["ok"]


def test_one_by_itself(zoo_here, tmp_path, tensors):
    save_file(tensors, tmp_path / "a.safetensors")
    finished = zoo_here("verify", str(tmp_path / "a.safetensors"))
    assert finished.exit_code == 0 and finished.stdout.startswith("sound\t")
    finished = zoo_here("verify", str(tmp_path / "a.safetensors"), "--select", "x")
    assert finished.exit_code == 2


def test_a_flipped_bit_in_an_archive(zoo_here, tmp_path, tensors):
    path = tmp_path / "model.pt"
    torch.save(tensors, path)
    content = bytearray(path.read_bytes())
    place = content.index(tensors["a"].numpy().tobytes())
    content[place + 5] ^= 1
    path.write_bytes(content)
    finished = zoo_here("verify", str(path))
    assert finished.exit_code == 1
    assert finished.stdout.startswith("damaged\t") and "CRC" in finished.stdout


def test_tied_tensors_and_copies_of_them_are_the_same(zoo_here, tmp_path, tensors):
    torch.save(tensors | {"tied": tensors["a"]}, tmp_path / "tied.pt")
    save_file(tensors | {"tied": tensors["a"].clone()}, tmp_path / "copied.safetensors")
    paths = str(tmp_path / "tied.pt"), str(tmp_path / "copied.safetensors")
    assert zoo_here("verify", *paths).exit_code == 0
    assert zoo_here("migrate", paths[0], str(tmp_path / "out")).exit_code == 0
    assert zoo_here("verify", str(tmp_path / "out"), paths[1]).stdout.startswith("same\t3 tensors")


def test_what_zoo_can_not_read_is_not_called_the_same(zoo_here, tmp_path, tensors):
    torch.save(tensors | {"sparse": torch.eye(3).to_sparse()}, tmp_path / "model.pt")
    save_file(tensors, tmp_path / "model.safetensors")
    finished = zoo_here("verify", str(tmp_path / "model.pt"), str(tmp_path / "model.safetensors"))
    assert finished.exit_code == 1 and "unreadable\tsparse: in A: it is sparse" in finished.stdout.splitlines()
    finished = zoo_here("verify", str(tmp_path / "model.pt"))
    assert finished.exit_code == 0 and "Not checked, since zoo can't read them: 'sparse'." in finished.stdout


@pytest.mark.parametrize("target", ["out", "out.safetensors"])
def test_a_manifest_is_checked(zoo_here, tmp_path, tensors, target):
    save_file(tensors, tmp_path / "model.safetensors")
    out = tmp_path / target
    assert zoo_here("migrate", str(tmp_path / "model.safetensors"), str(out), "--manifest").exit_code == 0
    assert "manifest.json" in zoo_here("verify", str(out)).stdout
    file = out / "model.safetensors" if target == "out" else out
    with open(file, "r+b") as content:
        content.seek(-1, 2)
        content.write(b"\x07")
    finished = zoo_here("verify", str(out))
    assert finished.exit_code == 1 and "its sha256 differs from the manifest's" in finished.stdout


def test_a_manifest_of_another_program_is_none_of_ours(zoo_here, tmp_path, tensors):
    save_file(tensors, tmp_path / "model.safetensors")
    for content in ('{"name": "my web app", "files": {"x": 1}}', "not json", "[]"):
        (tmp_path / "manifest.json").write_text(content)
        finished = zoo_here("verify", str(tmp_path))
        assert finished.exit_code == 0 and "manifest.json" not in finished.stdout


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "absent.safetensors"])
def test_a_manifest_leads_nowhere_else(zoo_here, tmp_path, tensors, name):
    save_file(tensors, tmp_path / "model.safetensors")
    manifest = {"format": "zoo-manifest", "version": 1, "files": {name: {"size": 1, "sha256": "0"}}}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    finished = zoo_here("verify", str(tmp_path))
    assert finished.exit_code == 1 and "problem\t" in finished.stdout
