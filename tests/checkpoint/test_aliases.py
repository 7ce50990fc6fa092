from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from zoo.checkpoint import open_checkpoint, read_bytes
from zoo.checkpoint.aliases import aliases_of, with_aliases

WriteTensors = Callable[..., Path]


def test_what_the_metadata_of_a_file_say_was_dropped(write_tensors: WriteTensors) -> None:
    checkpoint = open_checkpoint(write_tensors({"kept": b"1"}, metadata={"dropped": "kept", "format": "pt"}))
    assert checkpoint.aliases == {"dropped": "kept"}
    assert list(checkpoint) == ["kept"]
    everything = with_aliases(checkpoint)
    assert {name: b"".join(map(bytes, read_bytes(record))) for name, record in everything.items()} == {
        "kept": b"1",
        "dropped": b"1",
    }
    assert everything["dropped"].name == "dropped"


def test_the_clients_own_shards(tmp_path: Path) -> None:
    """With several shards, the Hub's client writes the dropped names into the index."""
    import torch
    from huggingface_hub import save_torch_state_dict

    shared = torch.arange(100.0)
    save_torch_state_dict({"lm_head": shared, "embed": shared, "other": torch.ones(100)}, tmp_path, max_shard_size=500)
    index = json.loads((tmp_path / "model.safetensors.index.json").read_bytes())
    assert index["metadata"]["lm_head"] == "embed"
    assert open_checkpoint(tmp_path).aliases == {"lm_head": "embed"}


def test_what_is_no_alias() -> None:
    names = ["pt", "a", "b"]
    metadata = {"format": "pt", "total_size": "a", "a": "b", "x": "absent", "n": 5, "bad\0": "a", "y": "a"}
    assert aliases_of(metadata, names) == {"y": "a"}
