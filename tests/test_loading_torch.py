"""Directories that hold only torch pickles load as they are: mapped, and without running what is in them."""

from __future__ import annotations

import logging
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import safetensors.torch
import torch
import transformers

import zoo
from zoo.errors import CheckpointError, UnsupportedFeature, WeightsMismatch
from zoo.testing import assert_logits_agree, assert_same_tensors, shake

IDS = torch.randint(97, (2, 13), generator=torch.Generator().manual_seed(1))


def reference(path: Path, **changes) -> transformers.LlamaForCausalLM:
    """A model, and its directory as transformers wrote them before safetensors: weights in pytorch_model.bin."""
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=97,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=64,
        **changes,
    )
    model = transformers.LlamaForCausalLM(config).eval()
    shake(model)
    model.save_pretrained(path)
    (path / "model.safetensors").unlink()
    return model


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("tied", [False, True])
def test_it_gives_the_same_logits_and_is_saved_as_safetensors(tmp_path, legacy, tied):
    model = reference(tmp_path / "old", tie_word_embeddings=tied)
    torch.save(model.state_dict(), tmp_path / "old" / "pytorch_model.bin", _use_new_zipfile_serialization=not legacy)
    ours, _ = zoo.load(tmp_path / "old")
    with torch.inference_mode():
        assert_logits_agree(ours({"input_ids": IDS}).logits, model(IDS).logits, 1e-4)
    zoo.save(ours, tmp_path / "new")
    model.save_pretrained(tmp_path / "theirs")
    assert_same_tensors(tmp_path / "new", tmp_path / "theirs")


def test_tied_arrays_inside_the_pickle_are_compared(tmp_path):
    """Small numpy arrays are at no place of their own; two of the same shape are not the same for that."""
    model = reference(tmp_path, tie_word_embeddings=True)
    state = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    torch.save(state, tmp_path / "pytorch_model.bin")
    ours, _ = zoo.load(tmp_path)
    with torch.inference_mode():
        assert_logits_agree(ours({"input_ids": IDS}).logits, model(IDS).logits, 1e-4)
    state["lm_head.weight"] = state["lm_head.weight"] + 1
    torch.save(state, tmp_path / "pytorch_model.bin")
    with pytest.raises(WeightsMismatch, match="differs from the one that it is tied to"):
        zoo.load(tmp_path)


def test_shards_and_a_trainers_files_beside_them(tmp_path):
    model = reference(tmp_path)
    state = model.state_dict()
    names = [f"pytorch_model-0000{number}-of-00002.bin" for number in (1, 2)]
    halves = [dict(list(state.items())[:5]), dict(list(state.items())[5:])]
    for name, half in zip(names, halves, strict=True):
        torch.save(half, tmp_path / name)
    torch.save({"state": {}}, tmp_path / "optimizer.pt")
    index = {key: name for name, half in zip(names, halves, strict=True) for key in half}
    (tmp_path / "pytorch_model.bin.index.json").write_text(
        '{"metadata": {}, "weight_map": ' + str(index).replace("'", '"') + "}"
    )
    ours, _ = zoo.load(tmp_path)
    with torch.inference_mode():
        assert_logits_agree(ours({"input_ids": IDS}).logits, model(IDS).logits, 1e-4)


def test_parameters_are_the_mapped_file(tmp_path):
    model = reference(tmp_path)
    path = tmp_path / "pytorch_model.bin"
    torch.save(model.state_dict(), path)
    before = path.read_bytes()
    script = """
        import sys, torch, zoo
        model, _ = zoo.load(sys.argv[1])
        maps = [line.split() for line in open("/proc/self/maps") if line.rstrip().endswith("pytorch_model.bin")]
        spans = [tuple(int(part, 16) for part in fields[0].split("-")) for fields in maps]
        assert all(any(a <= p.data_ptr() < b for a, b in spans) for p in model.parameters())
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.zero_()
    """
    if not Path("/proc/self/maps").exists():
        pytest.skip("this system does not say what is mapped")
    subprocess.run([sys.executable, "-c", textwrap.dedent(script), str(tmp_path)], check=True)
    assert path.read_bytes() == before, "the mapping is private"


def test_parameters_over_the_same_bytes_are_apart_unless_the_model_ties_them(tmp_path):
    model = reference(tmp_path, tie_word_embeddings=False)
    state = model.state_dict()
    state["lm_head.weight"] = state["model.embed_tokens.weight"]
    torch.save(state, tmp_path / "pytorch_model.bin")
    ours, _ = zoo.load(tmp_path)
    before = ours.head.state_dict()["weight"].clone()
    with torch.no_grad():
        ours.backbone.get_parameter("embed_tokens.weight").zero_()
    assert torch.equal(ours.head.state_dict()["weight"], before)


def test_views_are_the_elements_they_show(tmp_path):
    model = reference(tmp_path)
    state = model.state_dict()
    name = "model.layers.0.mlp.up_proj.weight"
    state[name] = state[name].t().contiguous().t()
    state["model.norm.weight"] = torch.stack([state["model.norm.weight"], torch.zeros(32)], dim=1)[:, 0]
    assert not state[name].is_contiguous()
    torch.save(state, tmp_path / "pytorch_model.bin")
    ours, _ = zoo.load(tmp_path)
    with torch.inference_mode():
        assert_logits_agree(ours({"input_ids": IDS}).logits, model(IDS).logits, 1e-4)


def test_a_training_checkpoint_gives_its_model_and_says_so(tmp_path, caplog):
    model = reference(tmp_path)
    optimizer = torch.optim.AdamW(model.parameters())
    model(IDS, labels=IDS).loss.backward()
    optimizer.step()
    torch.save(
        {"epoch": 3, "model_state": model.state_dict(), "optimizer": optimizer.state_dict()}, tmp_path / "last.ckpt"
    )
    with caplog.at_level(logging.INFO, logger="zoo"):
        ours, _ = zoo.load(tmp_path)
    assert "loading 'model_state'" in caplog.text
    with torch.inference_mode():
        assert_logits_agree(ours({"input_ids": IDS}).logits, model(IDS).logits, 1e-4)
    torch.save({"a": model.state_dict(), "b": model.state_dict() | {"more": torch.ones(3)}}, tmp_path / "last.ckpt")
    with pytest.raises(CheckpointError, match=r"'a'.*'b'") as raised:
        zoo.load(tmp_path)
    assert "zoo migrate" in str(raised.value)


class Payload:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def test_what_a_pickle_would_run_is_not_run(tmp_path, caplog):
    model = reference(tmp_path)
    canary = tmp_path / "canary"
    torch.save({**model.state_dict(), "payload": Payload(canary)}, tmp_path / "pytorch_model.bin")
    ours, _ = zoo.load(tmp_path)
    assert not canary.exists()
    assert "would run code" in caplog.text
    with torch.inference_mode():
        assert_logits_agree(ours({"input_ids": IDS}).logits, model(IDS).logits, 1e-4)


def test_tensors_that_can_not_be_read_are_named(tmp_path):
    model = reference(tmp_path)
    state = model.state_dict()
    state["model.norm.weight"] = state["model.norm.weight"].to_sparse()
    torch.save(state, tmp_path / "pytorch_model.bin")
    with pytest.raises(UnsupportedFeature, match=r"model\.norm\.weight: .*sparse"):
        zoo.load(tmp_path)


def test_a_name_that_the_hubs_client_dropped_is_found_again(tmp_path):
    """lm_head and embedding share their bytes in the file; the configuration does not tie them."""
    model = reference(tmp_path, tie_word_embeddings=False)
    state = model.state_dict()
    del state["lm_head.weight"]
    safetensors.torch.save_file(
        state, tmp_path / "model.safetensors", metadata={"format": "pt", "lm_head.weight": "model.embed_tokens.weight"}
    )
    ours, _ = zoo.load(tmp_path)
    assert torch.equal(ours.head.state_dict()["weight"], state["model.embed_tokens.weight"])
