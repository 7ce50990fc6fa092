from __future__ import annotations

import json
import os
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from zoo.errors import CheckpointError, SaveError
from zoo_tools.migration import migrate
from zoo_tools.tree_migration import migrate_tree


@pytest.fixture
def pile(tmp_path: Path) -> Path:
    """What collects over the years: model folders, loose files, one of them broken."""
    pile = tmp_path / "pile"
    (pile / "bert" / "sub").mkdir(parents=True)
    (pile / "runs" / "7").mkdir(parents=True)
    (pile / "empty").mkdir()
    torch.save({"w": torch.ones(2)}, pile / "bert" / "pytorch_model.bin")
    (pile / "bert" / "config.json").write_text("{}")
    (pile / "bert" / "sub" / "vocab.txt").write_text("a")
    torch.save({"w": torch.ones(3)}, pile / "a.pth")
    torch.save({"w": torch.ones(4)}, pile / "a.pt")
    torch.save({"state_dict": {"w": torch.ones(5)}, "epoch": 1}, pile / "runs" / "7" / "last.ckpt")
    torch.save({"w": torch.ones(6)}, pile / "runs" / "old.pth.tar")
    (pile / "runs" / "broken.bin").write_bytes(b"PK\x03\x04 and then nothing")
    (pile / "notes.txt").write_text("not a checkpoint")
    os.mkfifo(pile / "runs" / "pipe.pt")
    return pile


def test_each_by_itself(pile: Path, tmp_path: Path) -> None:
    report = migrate_tree(pile, tmp_path / "out", sync=False)
    found = {
        path.relative_to(tmp_path / "out").as_posix(): sum(t.numel() for t in load_file(path).values())
        for path in (tmp_path / "out").rglob("*.safetensors")
    }
    assert found == {
        "bert/model.safetensors": 2,
        "a.pth.safetensors": 3,
        "a.pt.safetensors": 4,
        "runs/7/last.safetensors": 5,
        "runs/old.safetensors": 6,
    }
    assert (tmp_path / "out" / "bert" / "sub" / "vocab.txt").exists()
    assert [item.source.name for item in report.failed] == ["broken.bin", "pipe.pt"]
    assert "broken.bin" in str(report.failed[0].error)
    assert "pipe" in str(report.failed[1].error)
    assert len(report.items) == 7
    values = json.loads(json.dumps(report.to_json()))
    assert [item["error"] is None for item in values["items"]].count(True) == 5
    assert not (tmp_path / "out" / "empty").exists()


def test_the_rest_after_an_interruption(pile: Path, tmp_path: Path) -> None:
    """What is complete is not written again, and is no error."""
    target = tmp_path / "out"

    def interrupt(done: int, total: int) -> None:
        if (target / "a.pth.safetensors").exists():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        migrate_tree(pile, target, progress=interrupt)
    written = (target / "a.pth.safetensors").stat()
    report = migrate_tree(pile, target, resume=True)
    assert len(report.failed) == 2
    after = (target / "a.pth.safetensors").stat()
    assert (after.st_ino, after.st_mtime_ns) == (written.st_ino, written.st_mtime_ns)


def test_a_target_inside_of_the_source(pile: Path) -> None:
    """What was migrated before is not found as a source again."""
    assert len(migrate_tree(pile, pile / "out", sync=False).items) == 7
    assert len(migrate_tree(pile, pile / "out", sync=False, force=True).items) == 7


def test_what_is_no_tree(pile: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no directory"):
        migrate_tree(pile / "a.pt", tmp_path / "out")
    with pytest.raises(CheckpointError, match="holds no checkpoint"):
        migrate_tree(pile / "empty", tmp_path / "out")
    with pytest.raises(SaveError, match="the source is never written to"):
        migrate_tree(pile, pile)


def test_encoded_tensors_are_decoded_and_said_to_be(tmp_path: Path) -> None:
    """A quantised GGUF can't be had back from what is written."""
    values = np.random.default_rng(0).standard_normal((4, 64)).astype(np.float32)
    writer = gguf.GGUFWriter(tmp_path / "x.gguf", "llama")
    writer.add_tensor("plain", values)
    kind = gguf.GGMLQuantizationType.Q8_0
    writer.add_tensor("blocks", gguf.quantize(values, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    report = migrate(tmp_path / "x.gguf", tmp_path / "out")
    tensors = load_file(tmp_path / "out" / "model.safetensors")
    assert torch.equal(tensors["plain"], torch.from_numpy(values))
    decoded = gguf.dequantize(gguf.quantize(values, kind), kind)
    assert torch.equal(tensors["blocks"], torch.from_numpy(decoded))
    assert report.decoded == {"Q8_0 -> F32": 1}
    assert any("Decoded, which can't be undone: 1 tensor Q8_0 -> F32" in sentence for sentence in report.sentences)
